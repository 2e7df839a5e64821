"""A group that is beyond the end of a partition is noticed when it takes it over, and when it is thrown back later."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from aiokafka import TopicPartition
from faust.types.tuples import TP

from streaming.consumer import FetchConsumer
from streaming.delay import DelayService
from streaming.lost import RecordsLost, beyond_end

LANE = TP("lane", 3)
TIER = TopicPartition("tier", 0)


def fetch(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


class Engine:
    def __init__(self) -> None:
        self.in_flight = SimpleNamespace(is_batched=lambda topic: True)
        self.remembered: list[int] = []

    def look_back(self, topic: str) -> int:
        return 2

    def remember(self, tp: TP, records: list[Any]) -> None:
        self.remembered += [record.offset for record in records]

    def fail(self, error: BaseException) -> NoReturn:
        raise error


class Consumer(FetchConsumer):
    """``committed`` of a log that begins at 0 and ends at ``end``; ``known`` is the end that the last fetch told."""

    def __init__(self, *, committed: int, end: int, known: int | None = None) -> None:
        self.app = SimpleNamespace(engine=Engine(), policy=SimpleNamespace(group="g"))  # type: ignore[assignment]
        self._assignments = 0
        self._revoked = False
        self._ends = {}
        self._sought = {LANE: committed - 2}
        self._expected = {LANE: committed}
        self._gaps = {}
        self._at, self._end, self._known = committed, end, known
        self.asked = 0
        self.on_asked = lambda: None

    def assignment(self) -> set[TP]:  # type: ignore[override]
        return {LANE}

    async def seek_to_committed(self) -> Mapping[TP, int]:  # type: ignore[override]
        return {LANE: self._at}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        self.asked += 1
        self.on_asked()
        return dict.fromkeys(partitions, self._end)

    def highwater(self, tp: TP) -> int:
        return self._known  # type: ignore[return-value]

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self._at = partitions[LANE]


def test_beyond_the_end_is_more_than_all_there_is() -> None:
    lost = beyond_end("g", {LANE: 5, TP("lane", 4): 6}, {LANE: 5, TP("lane", 4): 5})
    assert "lane-4 ends at 5, g has got to 6;" in str(lost)
    assert "lane-3" not in str(lost)
    assert beyond_end("g", {LANE: 5}, {LANE: 5}) is None


async def test_taken_over_up_to_its_end_a_partition_is_sound() -> None:
    consumer = Consumer(committed=5, end=5)
    await consumer.perform_seek()
    assert consumer.prepared() == {LANE}
    assert consumer._at == 3
    consumer.look_for_loss({LANE: 5})
    with pytest.raises(RecordsLost, match="lane-3 ends at 5, g has got to 6"):
        consumer.look_for_loss({LANE: 6})


async def test_taken_over_beyond_its_end_it_has_lost_records() -> None:
    consumer = Consumer(committed=5, end=4)
    with pytest.raises(RecordsLost, match="lane-3 ends at 4, g has got to 5"):
        await consumer.perform_seek()
    assert consumer.prepared() is None


async def test_what_an_assignment_that_is_over_was_told_is_not_kept() -> None:
    consumer = Consumer(committed=5, end=4)
    consumer.on_asked = consumer._close
    await consumer.perform_seek()
    assert (consumer.prepared(), consumer._ends) == (None, {})


async def test_thrown_back_to_the_start_of_a_log_it_has_lost_records_however_many_came_since() -> None:
    consumer = Consumer(committed=5, end=50, known=50)
    with pytest.raises(RecordsLost, match="lane-3 went back to 0, g had got to 5"):
        await consumer._deliver_fetch(LANE, fetch(0))
    assert consumer.app.engine.remembered == []  # type: ignore[attr-defined]


async def test_thrown_back_as_far_as_it_wanted_to_look_the_end_tells() -> None:
    consumer = Consumer(committed=2, end=1, known=1)
    with pytest.raises(RecordsLost, match="lane-3 ends at 1, g has got to 2"):
        await consumer._deliver_fetch(LANE, fetch(0))
    assert consumer.app.engine.remembered == []  # type: ignore[attr-defined]


async def test_what_was_taken_away_while_the_end_was_asked_for_is_dropped() -> None:
    consumer = Consumer(committed=5, end=9, known=4)
    consumer.on_asked = consumer._close
    await consumer._deliver_fetch(LANE, fetch(3, 4, 5))
    assert consumer.asked == 1
    assert consumer.app.engine.remembered == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        pytest.param(5, 0, id="it ends where it did"),
        pytest.param(None, 0, id="nobody has told yet"),
        pytest.param(4, 1, id="a new leader does not know yet"),
    ],
)
async def test_what_is_shown_again_for_memory_is_no_loss(known: int | None, asked: int) -> None:
    consumer = Consumer(committed=5, end=5, known=known)
    await consumer._deliver_fetch(LANE, fetch(3, 4))
    assert consumer.app.engine.remembered == [3, 4]  # type: ignore[attr-defined]
    assert consumer.asked == asked


class Client:
    def __init__(self, *, committed: int | None, end: int) -> None:
        self._committed, self._end = committed, end
        self.asked = 0

    async def committed(self, tp: TopicPartition) -> int | None:
        self.asked += 1
        return self._committed

    def assignment(self) -> set[TopicPartition]:
        return {TIER}

    async def end_offsets(self, tps: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self._end)


def end(reason: str) -> NoReturn:
    raise RecordsLost(reason)


def delay(client: Client) -> DelayService:
    unused: Any = None
    service = DelayService(
        kafka="",
        group="g",
        instance_id=None,
        tiers={"tier": "1s"},
        out=unused,
        read=unused,
        patience=unused,
        metrics=unused,
        clock_ms=unused,
        end=end,
    )
    service._consumer = client
    return service


async def test_a_tier_thrown_back_to_its_start_has_lost_records() -> None:
    with pytest.raises(RecordsLost, match="tier-0 ends at 2, g has got to 5"):
        await delay(Client(committed=5, end=2))._look_for_loss({TIER: fetch(0, 1)})


@pytest.mark.parametrize(
    ("committed", "first"),
    [
        pytest.param(5, 5, id="where it was"),
        pytest.param(None, 0, id="never committed"),
        pytest.param(2, 7, id="what was there has expired"),
        pytest.param(5, 3, id="somebody else was there since"),
    ],
)
async def test_a_tier_that_goes_on_is_sound_and_asked_about_once(committed: int | None, first: int) -> None:
    client = Client(committed=committed, end=8)
    service = delay(client)
    for _ in range(2):
        await service._look_for_loss({TIER: fetch(first)})
    assert client.asked == 1


async def test_a_tier_that_waits_does_not_wait_to_find_out() -> None:
    client = Client(committed=5, end=8)
    service = delay(client)
    await service._look_for_loss({TIER: fetch(5)})
    client._end = 4
    with pytest.raises(RecordsLost, match="tier-0 ends at 4, g has got to 5"):
        await service._ask_ends()
