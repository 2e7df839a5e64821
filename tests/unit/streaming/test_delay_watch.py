"""What is due must be returned: the retry role ends itself when it stands still, and shows what waits and how late."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import NoReturn

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from pipeline.halting import HaltCause
from streaming import delay as module
from streaming.halt import Halt
from streaming.producer import Record
from streaming.watchdog import Patience
from tests.fakes import Clock, Out, until
from tests.unit.streaming.test_lost import TIER, Client, delay, fetch

LIMIT_S = 60


class Ended(BaseException):
    """What `end` raises here in place of ending the process: it must not return."""


def end(reason: str) -> NoReturn:
    raise Ended(reason)


class Tier(Client):
    """A tier that ends at ``end``; of that, the client knows when it fetches, and the broker when it is asked."""

    def __init__(self, *, end: int) -> None:
        super().__init__(committed=None, end=end)
        self.is_assigned = self.fetches = True
        self.reads_next = 0
        self.commits: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append(offsets)

    def assignment(self) -> set[TopicPartition]:
        return {TIER} if self.is_assigned else set()

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._end if self.fetches else None

    async def position(self, tp: TopicPartition) -> int:
        return self.reads_next

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.reads_next = offset

    def pause(self, tp: TopicPartition) -> None: ...

    def resume(self, *tps: TopicPartition) -> None: ...


class Role:
    """The retry role with one partition; what it reads is due at ``due_ms``."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.due_ms = self.clock()
        self.halt = Halt(lambda cause: None)
        self.client = Tier(end=8)
        self.out = Out()
        self.registry = CollectorRegistry()
        self.service = delay(self.client, self.halt)
        self.service._patience = Patience(LIMIT_S, self.clock.seconds)
        self.service._metrics = Metrics(self.registry)
        self.service._clock_ms = self.clock
        self.service._out = self.out
        self.service._read = lambda record: (self.due_ms, Record("lane", b"key", b"%d" % record.offset))
        self.service._end = end

    async def reads(self, *offsets: int) -> None:
        self.client.reads_next = offsets[-1] + 1
        await self.service._turn({TIER: fetch(*offsets)})

    async def asks(self) -> None:
        """How far its partitions have come."""
        before = self.service._ends
        asking = asyncio.ensure_future(self.service._ask_ends())
        await until(lambda: self.service._ends is not before and TIER in self.service._position)
        asking.cancel()

    def for_s(self, seconds: int) -> None:
        """So long it does nothing but look at itself, once a second. Raises Ended."""
        for _ in range(seconds):
            self.service._show(self.clock())
            self.clock.advance(1)
        self.service._show(self.clock())

    def shown(self, gauge: str) -> float | None:
        return self.registry.get_sample_value(f"herald_retry_{gauge}", {"tier": "1s"})


@pytest.fixture
async def role(monkeypatch: pytest.MonkeyPatch) -> Role:
    monkeypatch.setattr(module, "SHOW_EVERY_S", 0.0)
    return Role()


async def test_what_is_due_and_not_returned_ends_the_process(role: Role) -> None:
    await role.reads(0)
    role.for_s(LIMIT_S)
    with pytest.raises(Ended, match="what is due is not returned"):
        role.for_s(1)


async def test_while_it_is_returned_one_by_one_the_process_goes_on(role: Role) -> None:
    for offset in range(8):
        await role.reads(offset)
        role.for_s(LIMIT_S - 1)
    assert [record.value for record in role.out.records] == [b"%d" % offset for offset in range(8)]


async def test_when_all_is_returned_it_may_stand_for_ever(role: Role) -> None:
    await role.reads(*range(8))
    role.for_s(10 * LIMIT_S)


async def test_what_is_not_due_yet_may_wait_and_its_patience_begins_when_it_is(role: Role) -> None:
    role.due_ms = role.clock() + 10 * LIMIT_S * 1000
    await role.reads(0)
    role.for_s(10 * LIMIT_S - 1)
    role.for_s(LIMIT_S)
    with pytest.raises(Ended):
        role.for_s(1)


async def test_a_role_that_has_halted_is_left_as_it_is(role: Role) -> None:
    await role.reads(0)
    role.halt.begin(HaltCause.RECORDS_LOST, "Kafka has lost records")
    role.for_s(10 * LIMIT_S)


async def test_a_consumer_that_has_died_does_not_hide_that_there_is_more_to_read(role: Role) -> None:
    role.client.fetches = False
    role.for_s(LIMIT_S + 1)
    await role.asks()
    role.for_s(LIMIT_S)
    with pytest.raises(Ended):
        role.for_s(1)


async def test_a_partition_that_leaves_takes_its_standstill_along(role: Role) -> None:
    await role.reads(0)
    role.for_s(LIMIT_S)
    role.client.is_assigned = False
    role.for_s(10 * LIMIT_S)
    assert role.shown("waiting_records") == 0


async def test_where_a_partition_was_before_it_left_is_not_held_against_it(role: Role) -> None:
    """Somebody else has returned the rest meanwhile."""
    await role.reads(0)
    role.client.is_assigned = False
    role.for_s(1)
    role.client.is_assigned, role.client.reads_next = True, 8
    role.for_s(10 * LIMIT_S)
    await role.asks()
    role.for_s(10 * LIMIT_S)


async def test_what_waits_is_shown(role: Role) -> None:
    await role.reads(0, 1)
    role.due_ms = role.clock() + 5_000
    await role.reads(2)
    role.for_s(4)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (6, 0)


async def test_it_is_looked_at_once_a_second_and_no_more(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(module, "SHOW_EVERY_S", 1.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=role.clock.seconds))
    role.service._metrics = SimpleNamespace(waiting=lambda tier, **_: looks.append(tier))  # type: ignore[assignment]
    for step_s, so_far in ((0.0, 1), (0.9, 1), (0.1, 2)):
        role.clock.advance(step_s)
        role.service._show(role.clock())
        assert len(looks) == so_far


async def test_how_late_a_tier_is_grows_until_its_head_is_returned(role: Role) -> None:
    role.due_ms = role.clock() + 5_000
    await role.reads(0)
    for _ in range(35):
        role.service._show(role.clock())
        role.service._resume(role.clock())
        role.clock.advance(1)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (8, 29)
    await role.reads(*range(8))
    role.for_s(1)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (0, 0)


async def test_of_what_is_late_a_part_is_returned_and_the_rest_is_still_late(role: Role) -> None:
    role.due_ms = role.clock()
    role.clock.advance(90)
    await role.reads(0, 1)
    role.for_s(0)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (6, 90)


async def test_what_cannot_be_read_is_due_and_not_late(role: Role) -> None:
    role.due_ms = 0
    await role.reads(0)
    role.for_s(0)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (7, 0)


async def test_what_was_late_does_not_make_what_comes_hours_later_late(role: Role) -> None:
    await role.reads(*range(8))
    role.for_s(3_600)
    role.client._end = 9
    role.for_s(0)
    assert (role.shown("waiting_records"), role.shown("overdue_seconds")) == (1, 0)


@pytest.mark.parametrize(
    ("assigned_anew", "commits"), [pytest.param(False, [{TIER: 2}], id="its own"), pytest.param(True, [], id="another")]
)
async def test_a_turn_commits_for_its_own_assignment_alone(
    role: Role, assigned_anew: bool, commits: list[dict[TopicPartition, int]]
) -> None:
    """Cut off while it sends, it may have lost the partition and got it back; others were there meanwhile."""
    durably = role.out.send_all

    async def slowly(records: Sequence[Record]) -> dict[int, int]:
        if assigned_anew:
            role.service.on_partitions_assigned({TIER})
        return await durably(records)

    role.out.send_all = slowly  # type: ignore[method-assign]
    await role.reads(0, 1)
    assert role.client.commits == commits


class Group(Tier):
    """What aiokafka's consumer does besides, as `DelayService` asks for it."""

    def __init__(self) -> None:
        super().__init__(end=0)
        self.joins = asyncio.Event()
        self.joins.set()

    def subscribe(self, *_: object, **__: object) -> None: ...

    async def start(self) -> None:
        await self.joins.wait()

    async def stop(self) -> None: ...

    async def getmany(self, **_: object) -> dict[TopicPartition, list[object]]:
        await asyncio.sleep(0.001)
        return {}


@pytest.fixture
def group(role: Role, monkeypatch: pytest.MonkeyPatch) -> Group:
    group = Group()
    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: group)
    return group


@pytest.mark.parametrize("asked", ["end_offsets", "getmany"])
async def test_whatever_breaks_ends_the_process(role: Role, group: Group, asked: str) -> None:
    """Also what looks beside the turns: else the role would stand still, and be called alive."""
    ended: list[str] = []

    async def breaks(*_: object, **__: object) -> None:
        raise ValueError("not as it should be")

    setattr(group, asked, breaks)
    role.service._end = ended.append  # type: ignore[assignment]
    await role.service.start()
    await until(lambda: bool(ended))
    assert ended == ["ValueError: not as it should be"]
    await role.service.stop()


async def test_a_group_that_does_not_take_it_in_ends_the_process(role: Role, group: Group) -> None:
    group.joins.clear()
    role.service._join_s = 0.01
    with pytest.raises(Ended, match="the group did not take it in in time"):
        await role.service.on_start()
