"""A replay is marked after Kafka has it, never before; one that fails holds nobody up, Kafka away ends it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import topics
from cli.dlq_plan import Replay, Route
from cli.dlq_replay import ROUNDS_IN_VAIN, Done, replay_all
from pipeline.deadletters import DeadLetter, Stored
from pipeline.trail import Trail
from streaming.producer import ProduceFailed, Record

NOW = datetime(2026, 3, 5, 8, tzinfo=UTC)


class Broker:
    """Takes what is not in ``refused``; knows in which order it acknowledged."""

    def __init__(self, refused: set[bytes] = frozenset()) -> None:  # type: ignore[assignment]
        self.refused = refused
        self.taken: list[tuple[str, bytes | None]] = []
        self.times: list[float] = []

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        await asyncio.sleep(0)
        for record in records:
            name = b"marker" if record.topic == topics.DLQ else record.key
            if name in self.refused or record.key in self.refused:
                raise ProduceFailed("too large")
            self.taken.append((record.topic, record.key))
            self.times.append(asyncio.get_running_loop().time())
        return {}


def replays(count: int) -> list[Replay]:
    made = []
    for offset in range(count):
        key = b"%d" % offset
        stored = Stored(partition=0, offset=offset, at_ms=0, key=key, value=b"", headers=[])
        letter = DeadLetter(
            record=stored, trail=Trail(), notification_id=None, channel=None, subject=f"s{offset}", size=0
        )
        record = Record(topics.STATUS, key, b"")
        made.append(Replay((letter,), 1, Route(topics.STATUS, lambda number, now, record=record: [record])))
    return made


async def run(broker: Broker, count: int, per_second: int = 10_000) -> list[Done]:
    results: list[Done] = []
    await replay_all(
        replays(count), broker, by="olga", per_second=per_second, clock=lambda: NOW, on_done=results.append
    )
    return results


async def test_each_is_acknowledged_and_then_marked_in_order() -> None:
    broker = Broker()
    results = await run(broker, 3)
    assert [(done.replay.letters[0].id, done.error) for done in results] == [
        ("0-0", None),
        ("0-1", None),
        ("0-2", None),
    ]
    for key in (b"0", b"1", b"2"):
        assert broker.taken.index((topics.STATUS, key)) < broker.taken.index((topics.DLQ, key))
    assert [key for topic, key in broker.taken if topic == topics.STATUS] == [b"0", b"1", b"2"]


async def test_one_that_fails_is_not_marked_and_holds_nobody_up() -> None:
    broker = Broker({b"1"})
    results = await run(broker, 3)
    assert [done.error for done in results] == [None, "too large", None]
    assert (topics.DLQ, b"1") not in broker.taken


async def test_a_missing_mark_is_told() -> None:
    (done,) = await run(Broker({b"marker"}), 1)
    assert done.error == "replayed, but not marked so: too large"


async def test_it_ends_when_nothing_goes_through() -> None:
    count = 100
    broker = Broker({b"%d" % offset for offset in range(count)})
    results = await run(broker, count, per_second=100)  # rounds of ten
    assert len(results) == count
    assert sum(done.error == "too large" for done in results) == ROUNDS_IN_VAIN * 10
    assert all(done.error for done in results)


async def test_the_rate_is_kept() -> None:
    broker = Broker()
    await run(broker, 9, per_second=40)  # rounds of four: the third starts after eight were sent
    first, last = broker.times[0], broker.times[-1]
    assert last - first >= 8 / 40 * 0.9
