"""The sink: Postgres decides, Redis may fail, what is refused is set aside."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
from prometheus_client import CollectorRegistry

import topics
from agents import sink as module
from agents.guard import DeadLetterGuard
from agents.sink import Sink
from agents.turn import ledger_record, outcome_record
from observability.metrics import Metrics
from pipeline import trail as trails
from pipeline.enrich import refused
from pipeline.errors import CacheUnavailable, StorageUnavailable
from pipeline.halting import HaltCause
from pipeline.ledger import Source
from pipeline.outcomes import Outcome, Status, conclude
from pipeline.ports import Waiting
from pipeline.times import from_ms
from pipeline.trail import Trail
from streaming.engine import Drained
from streaming.halt import Halt
from streaming.inflight import Fetch
from streaming.producer import Record
from streaming.watchdog import Patience
from tests.fakes import T0, T0_MS, Cache, Clock, Consumed, Journal, Out, Store, fetch, notification, until

TIER = topics.retry(30.0)


class Draining:
    def __init__(self) -> None:
        self.now = False

    def __call__(self) -> bool:
        return self.now


@pytest.fixture
def store(journal: Journal) -> Store:
    return Store(journal)


@pytest.fixture
def cache(journal: Journal) -> Cache:
    return Cache(journal=journal)


@pytest.fixture
def draining() -> Draining:
    return Draining()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    return Patience(60.0, clock.seconds)


@pytest.fixture
def sink(
    store: Store,
    cache: Cache,
    out: Out,
    patience: Patience,
    draining: Draining,
    guard: DeadLetterGuard,
    metrics: Metrics,
    clock: Clock,
) -> Sink:
    return Sink(
        store=store,
        cache=cache,
        out=out,
        patience=patience,
        draining=draining,
        guard=guard,
        metrics=metrics,
        clock_ms=clock,
    )


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.001)


def outcome(id: str = "n-1") -> Outcome:
    return conclude(notification(id), Status.SENT, T0_MS, attempts=1)


def consumed(record: Record, offset: int = 0) -> Consumed:
    return Consumed(record.topic, 0, offset, record.key, record.value, record.headers or [])  # type: ignore[arg-type]


def outcomes(*ids: str) -> list[Consumed]:
    return [consumed(outcome_record(outcome(id)), offset) for offset, id in enumerate(ids)]


async def test_postgres_first_then_redis(sink: Sink, store: Store, cache: Cache, journal: Journal) -> None:
    await sink.outcomes([fetch(*outcomes("a", "b")), fetch(*outcomes("c"))])
    assert journal == ["store called", "cache called"]
    assert store.rows == [outcome("a"), outcome("b"), outcome("c")]
    # As they came: nobody encodes an outcome a second time.
    assert cache.kept == [(one.notification_id, outcome_record(one).value) for one in store.rows]


async def test_the_ledger_is_for_postgres_alone(sink: Sink, store: Store, cache: Cache) -> None:
    line = refused("broken", Source(topic="t", partition=0, offset=0), T0, T0)
    await sink.events([fetch(consumed(ledger_record(line, b"k")))])
    assert (store.rows, cache.kept) == ([line], [])


async def test_without_postgres_it_waits_and_is_not_stuck(
    sink: Sink, store: Store, patience: Patience, clock: Clock
) -> None:
    store.troubles = [StorageUnavailable("away")] * 3
    patience.look("a partition", "here", has_work=True)
    clock.advance(61)
    assert patience.is_over()
    await sink.outcomes([fetch(*outcomes("a"))])
    assert store.rows == [outcome("a")]
    assert not patience.is_over()


async def test_a_wait_for_postgres_gives_way_to_a_rebalance(
    sink: Sink, store: Store, cache: Cache, draining: Draining, journal: Journal
) -> None:
    store.troubles = [StorageUnavailable("away")] * 1_000
    waiting = asyncio.create_task(sink.outcomes([fetch(*outcomes("a"))]))
    await until(lambda: len(journal) == 3)
    assert not waiting.done()
    draining.now = True
    with pytest.raises(Drained):
        await asyncio.wait_for(waiting, 5)
    assert cache.kept == []


async def test_it_does_not_wait_for_ever(sink: Sink, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVE_UP_AFTER_S", -1.0)
    store.troubles = [StorageUnavailable("away")] * 1_000
    with pytest.raises(StorageUnavailable):
        await sink.outcomes([fetch(*outcomes("a"))])


async def test_what_postgres_refuses_is_set_aside(sink: Sink, store: Store, out: Out) -> None:
    store.rejects = {1: "too long"}
    records = outcomes("a", "b", "c")
    await sink.outcomes([fetch(*records)])
    assert store.rows == [outcome("a"), outcome("c")]
    (dead,) = out.on(topics.DLQ)
    trail = trails.read(dead.headers, T0_MS)  # type: ignore[arg-type]
    assert (dead.value, trail.reason, trail.error, trail.origin_offset) == (
        records[1].value,
        "rejected-by-store",
        "too long",
        1,
    )


@pytest.mark.parametrize(
    ("rejects", "known"), [pytest.param({1: "too long"}, 0, id="refused"), pytest.param({}, 1, id="had another one")]
)
async def test_of_what_postgres_did_not_keep_the_cache_hears_nothing(
    sink: Sink, store: Store, cache: Cache, rejects: dict[int, str], known: int
) -> None:
    """It would say for days what Postgres does not: of the rest of the batch, Postgres is asked as well."""
    store.rejects, store.known = rejects, known
    await sink.outcomes([fetch(*outcomes("a", "b", "c"))])
    assert cache.kept == []
    store.rejects, store.known = {}, 0
    await sink.outcomes([fetch(*outcomes("d"))])
    assert [id for id, _ in cache.kept] == ["d"]  # type: ignore[misc,has-type]


async def test_what_is_too_much_for_one_transaction_is_stored_in_parts(
    sink: Sink, store: Store, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, none left out, and what is larger than a part by itself is one."""
    some = outcomes("a", "b", "c", "d", "e" * 1_000, "f")
    size = len(some[0].value or b"")
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 2 * size)
    calls: list[int] = []
    whole = store.store_outcomes

    async def counted(part: Sequence[object]) -> object:
        calls.append(len(part))
        return await whole(part)

    store.store_outcomes = counted  # type: ignore[method-assign,assignment]
    await sink.outcomes([fetch(*some[:3]), fetch(*some[3:])])
    assert calls == [2, 2, 1, 1]
    assert [row.notification_id for row in store.rows] == ["a", "b", "c", "d", "e" * 1_000, "f"]  # type: ignore[attr-defined]
    assert len(cache.kept) == 6
    await sink.events([fetch(*(a_line(offset) for offset in range(20)))])
    assert len(store.rows) == 26


def an_outcome(offset: int) -> Consumed:
    return consumed(outcome_record(outcome()), offset)


def a_line(offset: int) -> Consumed:
    line = refused("broken", Source(topic="t", partition=0, offset=offset), T0, T0)
    return consumed(ledger_record(line, b"k"), offset)


@pytest.mark.parametrize(
    ("take", "make"),
    [
        pytest.param(Sink.outcomes, an_outcome, id="outcomes"),
        pytest.param(Sink.events, a_line, id="ledger"),
    ],
)
@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        # How many records each turn brings, and which of them are refused.
        pytest.param([(1, {0})] * 3, "3 bugs in a row", id="one by one"),
        pytest.param([(3, {0, 1, 2})], "3 bugs in a row", id="together"),
        pytest.param([(2, {0, 1})], None, id="one less"),
        pytest.param([(2, {0, 1}), (1, set()), (2, {0, 1})], None, id="a row that was broken"),
        pytest.param([(3, {0, 1})] * 3, None, id="beside others that are stored"),
    ],
)
async def test_too_many_refusals_in_a_row_halt_the_role(
    sink: Sink,
    store: Store,
    halt: Halt,
    registry: CollectorRegistry,
    take: Callable[[Sink, Sequence[Fetch]], Awaitable[None]],
    make: Callable[[int], Consumed],
    turns: Sequence[tuple[int, set[int]]],
    reason: str | None,
) -> None:
    for records, rejected in turns:
        store.rejects = dict.fromkeys(rejected, "too long")
        await take(sink, [fetch(*map(make, range(records)))])
    assert halt.reason == reason
    halted = registry.get_sample_value("herald_halted", {"cause": HaltCause.DEAD_LETTERS})
    assert bool(halted) is (reason is not None)


async def test_a_refusal_is_named_rightly_behind_a_record_that_could_not_be_read(
    sink: Sink, store: Store, out: Out
) -> None:
    """The store counts what it was given, not what arrived."""
    store.rejects = {0: "too long"}
    broken = Consumed(topics.OUTCOMES, 0, 0, None, b"{")
    await sink.outcomes([fetch(broken, *outcomes("a"))])
    assert [dead.value for dead in out.on(topics.DLQ)] == [b"{", outcomes("a")[0].value]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="lacks everything"),
        pytest.param(b"[" * 100_000, id="nested for ever"),
        pytest.param(b'{"notification_id":"\xff"}', id="not UTF-8"),
        pytest.param(
            msgspec.json.encode(outcome()).replace(b"2026-11-23T12:00:00Z", b"2026-11-23T12:00:00"), id="a naive time"
        ),
    ],
)
async def test_what_is_no_outcome_is_set_aside_and_the_rest_is_stored(
    sink: Sink, store: Store, out: Out, value: bytes | None
) -> None:
    await sink.outcomes([fetch(Consumed(topics.OUTCOMES, 0, 9, b"k", value), *outcomes("a"))])
    assert store.rows == [outcome("a")]
    (dead,) = out.on(topics.DLQ)
    assert (dead.key, dead.value) == (b"k", value)


async def test_without_redis_it_goes_on(sink: Sink, store: Store, cache: Cache) -> None:
    cache.trouble = CacheUnavailable("away")
    await sink.outcomes([fetch(*outcomes("a"))])
    await sink.waiting([fetch(waiting())])
    assert store.rows == [outcome("a")]


async def test_with_nothing_to_store_nobody_is_asked(sink: Sink, journal: Journal) -> None:
    await sink.outcomes([fetch(Consumed(topics.OUTCOMES, 0, 0, None, b"{"))])
    assert "store called" not in journal


def waiting(value: bytes | None = None, **fields: object) -> Consumed:
    trail = Trail(attempts=2, due_ms=T0_MS + 1_000, target="herald.sms.bulk.v1", error="busy")
    headers = trails.write(msgspec.structs.replace(trail, **fields))
    return Consumed(TIER, 0, 0, b"k", value if value is not None else msgspec.json.encode(notification()), headers)  # type: ignore[arg-type]


async def test_a_notification_that_waits_can_be_asked_for(sink: Sink, cache: Cache, journal: Journal) -> None:
    await sink.waiting([fetch(waiting())])
    assert cache.kept == [Waiting(notification(), 2, from_ms(T0_MS + 1_000), "busy")]
    assert journal == ["cache called"], "and is no row"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(waiting(target=topics.STATUS_AGAIN), id="an event that waits for its subscription"),
        pytest.param(waiting(b"{"), id="no notification"),
        pytest.param(waiting(b"[" * 100_000), id="nested for ever"),
        pytest.param(waiting(b'{"id":"\xff"}'), id="not UTF-8"),
        pytest.param(Consumed(TIER, 0, 0, b"k", b"{}", [("herald-attempts", b"x")]), id="hostile headers"),
    ],
)
async def test_others_that_wait_are_not_the_sinks(sink: Sink, cache: Cache, out: Out, record: Consumed) -> None:
    await sink.waiting([fetch(record)])
    assert (cache.kept, out.records) == ([], [])
