"""A group that is beyond the end of a partition is noticed when it takes it over, and when it is thrown back later."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types.tuples import TP
from structlog.testing import capture_logs

from pipeline.halting import HaltCause
from streaming.consumer import FetchConsumer
from streaming.delay import DelayService
from streaming.halt import Halt
from streaming.lost import LossWatch
from tests.fakes import until

LANE = TP("lane", 3)
NEXT_LANE = TP("lane", 4)
TIER = TopicPartition("tier", 0)


def fetch(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset, timestamp=0, timestamp_type=0) for offset in offsets]


class Engine:
    def __init__(self) -> None:
        self.in_flight = SimpleNamespace(is_batched=lambda topic: True, admit=lambda tp, records: records)
        self.remembered: list[int] = []

    def look_back(self, topic: str) -> int:
        return 2

    def remember(self, tp: TP, records: list[Any]) -> None:
        self.remembered += [record.offset for record in records]


class Consumer(FetchConsumer):
    """``committed`` of a log that begins at ``start`` and ends at ``end``, and looks back by two."""

    def __init__(self, *, committed: int, end: int = 0) -> None:
        self.engine = Engine()
        self.causes: list[HaltCause] = []
        self.halt = Halt(self.causes.append)
        self.app = SimpleNamespace(  # type: ignore[assignment]
            engine=self.engine,
            policy=SimpleNamespace(group="g"),
            metrics=SimpleNamespace(consumed=lambda topic, records: None),
            halt=self.halt,
            consumer_generation_id=1,
        )
        self.log = logging.getLogger("test")  # type: ignore[assignment]
        self._assignments = 0
        self._revoked = False
        self._open = frozenset({LANE, NEXT_LANE})
        self._ends = {}
        self._next = {LANE: committed - 2, NEXT_LANE: committed - 2}
        self._expected = {LANE: committed, NEXT_LANE: committed}
        self._gaps = {}
        self._past = {}
        self._loss = LossWatch("g", self.halt)
        self._read_offset = {}
        self._at, self.start, self.end = committed, 0, end
        self.handed_over: list[int] = []
        self.on_asked: Callable[[], None] = lambda: None
        self.on_handed_over: Callable[[], None] = lambda: None

    flow_active = True

    def assignment(self) -> set[TP]:  # type: ignore[override]
        return {LANE}

    async def seek_to_committed(self) -> Mapping[TP, int]:  # type: ignore[override]
        return {LANE: self._at}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, self.start)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        self.on_asked()
        return dict.fromkeys(partitions, self.end)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self._at = partitions[LANE]

    def has_halted(self, reason: str) -> bool:
        """Once."""
        return self.causes == [HaltCause.RECORDS_LOST] and reason in (self.halt.reason or "")

    async def _hand_over(self, message: Any) -> None:
        self.handed_over += [record.offset for record in message.value]
        self.on_handed_over()


@pytest.fixture
def halt() -> Halt:
    return Halt(lambda cause: None)


def test_beyond_the_end_is_more_than_all_there_is(halt: Halt) -> None:
    watch = LossWatch("g", halt)
    watch.compare({LANE: 5}, {LANE: 5})
    assert halt.reason is None
    watch.compare({LANE: 5, NEXT_LANE: 6}, {LANE: 5, NEXT_LANE: 5})
    assert "lane-4 ends at 5, g has got to 6;" in (halt.reason or "")
    assert "lane-3" not in (halt.reason or "")


def test_a_loss_is_told_once_and_again_where_the_group_had_got_further(halt: Halt) -> None:
    watch = LossWatch("g", halt)
    watch.compare({LANE: 5}, {LANE: 4})
    once = halt.reason
    watch.compare({LANE: 5}, {LANE: 3})
    watch.went_back(LANE, 0, 5)
    assert halt.reason == once
    watch.went_back(LANE, 0, 6)
    assert (halt.reason or "").startswith(f"{once}; ")


async def test_taken_over_up_to_its_end_a_partition_is_sound() -> None:
    consumer = Consumer(committed=5, end=5)
    await consumer.perform_seek()
    assert consumer.prepared() == {LANE}
    assert consumer._at == 3
    consumer.look_for_loss({LANE: 5})
    assert consumer.halt.reason is None
    consumer.look_for_loss({LANE: 6})
    assert consumer.has_halted("lane-3 ends at 5, g has got to 6")


async def test_taken_over_beyond_its_end_it_has_lost_records() -> None:
    consumer = Consumer(committed=5, end=4)
    await consumer.perform_seek()
    assert consumer.has_halted("lane-3 ends at 4, g has got to 5")


async def test_what_an_assignment_that_is_over_was_told_is_not_kept() -> None:
    consumer = Consumer(committed=5, end=4)
    consumer.on_asked = consumer._close
    await consumer.perform_seek()
    assert (consumer.prepared(), consumer._ends) == (None, {})


async def test_what_is_shown_again_for_memory_is_no_loss() -> None:
    consumer = Consumer(committed=5)
    await consumer._deliver_fetch(LANE, fetch(3))
    await consumer._deliver_fetch(LANE, fetch(4, 5))
    assert (consumer.engine.remembered, consumer.handed_over) == ([3, 4], [5])


@pytest.mark.parametrize(
    "read",
    [
        pytest.param([], id="before anything was read"),
        pytest.param([3], id="in its history"),
        pytest.param([3, 4], id="after its history"),
        pytest.param([5, 6], id="after new ones"),
    ],
)
@pytest.mark.parametrize("back_to", [0, 2])
async def test_thrown_back_it_has_lost_records_however_many_came_since(read: list[int], back_to: int) -> None:
    consumer = Consumer(committed=5)
    if read:
        await consumer._deliver_fetch(LANE, fetch(*read))
    remembered, handed_over = list(consumer.engine.remembered), list(consumer.handed_over)
    await consumer._deliver_fetch(LANE, fetch(*range(back_to, 50)))
    assert consumer.has_halted(f"lane-3 went back to {back_to}, g had got to {7 if 6 in read else 5};")
    assert (consumer.engine.remembered, consumer.handed_over) == (remembered, handed_over)


async def test_thrown_back_to_where_its_history_began_it_has_lost_records() -> None:
    consumer = Consumer(committed=2)
    await consumer._deliver_fetch(LANE, fetch(0, 1, 2))
    await consumer._deliver_fetch(LANE, fetch(*range(10)))
    assert consumer.has_halted("lane-3 went back to 0, g had got to 3;")
    assert (consumer.engine.remembered, consumer.handed_over) == ([0, 1], [2])


async def test_what_was_fetched_for_an_assignment_that_is_over_is_dropped() -> None:
    """The next one may have begun while the first of them waited to be taken."""
    consumer = Consumer(committed=5)

    def assigned_anew() -> None:
        consumer._close()
        consumer._open = frozenset({LANE, NEXT_LANE})
        consumer._next = {LANE: 3, NEXT_LANE: 9}
        consumer._expected = {LANE: 5, NEXT_LANE: 9}

    consumer.on_handed_over = assigned_anew
    await consumer._deliver({LANE: fetch(5), NEXT_LANE: fetch(5)})
    assert consumer.handed_over == [5]


async def test_a_partition_from_which_nothing_is_fetched_is_looked_at_too() -> None:
    consumer = Consumer(committed=5, end=8)
    await consumer._deliver_fetch(LANE, fetch(5, 6, 7))
    assert await consumer.ends(1) == {LANE: 8, NEXT_LANE: 8}
    consumer.end = 7
    await consumer.ends(1)
    assert consumer.has_halted("Kafka has lost records: lane-3 ends at 7, g has got to 8;")
    consumer.end = 6
    await consumer.ends(1)
    assert consumer.has_halted("lane-3 ends at 7, g has got to 8;"), "it is said once"


async def test_every_partition_that_has_lost_records_is_told_of() -> None:
    consumer = Consumer(committed=5, end=4)
    await consumer.perform_seek()
    consumer.look_for_loss({LANE: 9})
    consumer._expected = {LANE: 5, NEXT_LANE: 5}
    await consumer.ends(1)
    assert consumer.halt.reason is not None
    for told in ("lane-3 ends at 4, g has got to 5;", "lane-3 ends at 4, g has got to 9;", "lane-4 ends at 4,"):
        assert consumer.halt.reason.count(told) == 1
    await consumer._deliver({NEXT_LANE: fetch(5)})
    assert consumer.handed_over == [], "a sound partition stands still, too"


@pytest.mark.parametrize(
    ("start", "gone"),
    [
        pytest.param(4, [], id="what was done"),
        pytest.param(5, [], id="all that was done"),
        pytest.param(8, [(5, 7)], id="what nobody had read"),
    ],
)
async def test_what_retention_took_unread_is_told(start: int, gone: list[tuple[int, int]]) -> None:
    consumer = Consumer(committed=5, end=9)
    consumer.start = start
    with capture_logs() as logs:
        await consumer.perform_seek()
    assert [(one["first"], one["last"]) for one in logs] == gone
    assert all((one["log_level"], one["topic"], one["partition"]) == ("error", "lane", 3) for one in logs)
    assert consumer.prepared() == {LANE}, "the rest is read all the same"


async def test_what_retention_takes_before_a_slow_reader_is_told_once() -> None:
    consumer = Consumer(committed=5)
    consumer.start = 8
    with capture_logs() as logs:
        await consumer._deliver_fetch(LANE, fetch(8))
        await consumer._deliver_fetch(LANE, fetch(8))
    assert [(one["event"], one["first"], one["last"]) for one in logs] == [("records are gone unread", 5, 7)]
    assert consumer.handed_over == [8]


async def test_a_gap_that_compaction_left_is_nothing_to_tell() -> None:
    consumer = Consumer(committed=5)
    with capture_logs() as logs:
        await consumer._deliver_fetch(LANE, fetch(8))
        await consumer._deliver_fetch(LANE, fetch(8))
    assert (logs, consumer.handed_over) == ([], [8])


@pytest.mark.parametrize("error", [TimeoutError(), KafkaError()])
async def test_where_a_log_begins_may_stay_unknown(error: Exception) -> None:
    consumer = Consumer(committed=5)

    async def no_answer(*partitions: TP) -> Mapping[TP, int]:
        raise error

    consumer.earliest_offsets = no_answer  # type: ignore[method-assign]
    await consumer._deliver_fetch(LANE, fetch(8))
    await consumer._deliver_fetch(LANE, fetch(8))
    assert consumer.handed_over == [8]


@pytest.mark.parametrize("error", [TimeoutError(), KafkaError()])
async def test_a_broker_that_does_not_answer_has_lost_nothing(error: Exception) -> None:
    consumer = Consumer(committed=5)

    def no_answer() -> None:
        raise error

    consumer.on_asked = no_answer
    assert await consumer.ends(1) == {}


class Client:
    def __init__(self, *, committed: int | None, end: int) -> None:
        self._committed, self._end = committed, end
        self.asked = 0

    async def commit(self, offsets: Any) -> None: ...

    async def committed(self, tp: TopicPartition) -> int | None:
        self.asked += 1
        return self._committed

    def assignment(self) -> set[TopicPartition]:
        return {TIER}

    async def position(self, tp: TopicPartition) -> int:
        return self._end

    async def end_offsets(self, tps: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self._end)


def delay(client: Client, halt: Halt) -> DelayService:
    unused: Any = None
    service = DelayService(
        kafka="",
        group="g",
        instance_id=None,
        session_timeout_s=10.0,
        tiers={"tier": "1s"},
        out=unused,
        read=unused,
        patience=unused,
        metrics=unused,
        clock_ms=unused,
        halt=halt,
    )
    service._consumer = client
    return service


async def test_a_tier_thrown_back_to_its_start_has_lost_records(halt: Halt) -> None:
    await delay(Client(committed=5, end=2), halt)._look_for_loss({TIER: fetch(0, 1)})
    assert "tier-0 ends at 2, g has got to 5;" in (halt.reason or "")


@pytest.mark.parametrize(
    ("committed", "first"),
    [
        pytest.param(5, 5, id="where it was"),
        pytest.param(None, 0, id="never committed"),
        pytest.param(2, 7, id="what was there has expired"),
    ],
)
async def test_a_tier_that_goes_on_is_sound_and_asked_about_once(committed: int | None, first: int, halt: Halt) -> None:
    client = Client(committed=committed, end=8)
    service = delay(client, halt)
    for _ in range(2):
        await service._look_for_loss({TIER: fetch(first)})
    assert (client.asked, halt.reason) == (1, None)


async def test_a_tier_that_somebody_else_had_meanwhile_is_sound(halt: Halt) -> None:
    client = Client(committed=5, end=8)
    service = delay(client, halt)
    for _ in range(2):
        await service._look_for_loss({TIER: fetch(3)})
    assert (client.asked, halt.reason) == (2, None)


async def test_a_tier_thrown_back_has_lost_records_however_many_came_since(halt: Halt) -> None:
    service = delay(Client(committed=5, end=50), halt)
    await service._look_for_loss({TIER: fetch(5)})
    await service._turn({TIER: fetch(*range(50))})
    assert "tier-0 went back to 0, g had got to 5;" in (halt.reason or "")


async def test_a_tier_thrown_back_is_enough_to_halt_where_kafka_does_not_answer(halt: Halt) -> None:
    client = Client(committed=5, end=50)
    service = delay(client, halt)
    await service._look_for_loss({TIER: fetch(5)})

    async def no_answer(tp: TopicPartition) -> int | None:
        raise KafkaError

    client.committed = no_answer  # type: ignore[method-assign]
    await service._turn({TIER: fetch(0), TopicPartition("tier", 1): fetch(0)})
    assert "tier-0 went back to 0" in (halt.reason or "")


async def test_a_tier_may_begin_anew_where_a_commit_came_after_its_assignment(halt: Halt) -> None:
    """A turn may see a rebalance: its commit is taken, but what was assigned began where nothing was committed yet."""
    client = Client(committed=5, end=9)
    service = delay(client, halt)
    await service._look_for_loss({TIER: fetch(5)})
    turn = service._committed
    service.on_partitions_assigned([TIER])
    turn.update(await service._commit({TIER: 8}))
    await service._look_for_loss({TIER: fetch(5, 6, 7, 8)})
    service._committed.update(await service._commit({TIER: 9}))
    assert halt.reason is None
    await service._look_for_loss({TIER: fetch(5)})
    assert "tier-0 went back to 5, g had got to 9;" in (halt.reason or "")


async def test_a_tier_that_waits_does_not_wait_to_find_out(halt: Halt) -> None:
    client = Client(committed=5, end=8)
    service = delay(client, halt)
    await service._look_for_loss({TIER: fetch(5)})
    client._end = 4
    asking = asyncio.ensure_future(service._ask_ends())
    await until(lambda: halt.reason is not None)
    asking.cancel()
    assert "tier-0 ends at 4, g has got to 5;" in (halt.reason or "")
