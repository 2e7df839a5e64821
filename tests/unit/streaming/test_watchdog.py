"""Standing still with work to do ends the process once patience is over; waiting for work or for a reason does not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from pipeline.halting import HaltCause
from streaming import watchdog
from streaming.halt import Halt
from streaming.inflight import InFlight
from streaming.lease import Lease
from streaming.stand import Stand
from streaming.watchdog import ASK_TIMEOUT_S, Patience
from tests.fakes import Clock, turns

LIMIT_S = 60.0
HERE, THERE, CHANGELOG = TP("lane", 0), TP("lane", 1), TP("changelog", 0)
IDLE = Stand(committed=8, finished=8, read=8, end=8, in_flight=False)
STUCK = Stand(committed=5, finished=5, read=8, end=8, in_flight=True)


def patience() -> tuple[Patience, Clock]:
    clock = Clock()
    return Patience(LIMIT_S, clock.seconds), clock


def test_no_progress_with_work_to_do_runs_out() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S)
    assert waiting.look("p0", "here", has_work=True) == LIMIT_S
    assert not waiting.is_over()
    clock.advance(1)
    assert waiting.is_over(), "also when nobody looks any more: a watchdog that died must not look healthy"


def test_progress_renews_it() -> None:
    waiting, clock = patience()
    for step in range(5):
        clock.advance(LIMIT_S - 1)
        assert waiting.look("p0", step, has_work=True) == 0
    assert not waiting.is_over()


def test_a_partition_that_stands_is_seen_among_others_that_move() -> None:
    waiting, clock = patience()
    for step in range(3):
        waiting.look("p0", "here", has_work=True)
        waiting.look("p1", step, has_work=True)
        clock.advance(LIMIT_S / 2 + 1)
    assert waiting.is_over()


def test_a_partition_that_is_gone_is_forgotten() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S + 1)
    waiting.forget_all_but(["p1"])
    assert not waiting.is_over()


def test_idleness_is_no_standstill() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(10 * LIMIT_S)
    assert waiting.look("p0", "here", has_work=False) == 0
    clock.advance(LIMIT_S)
    assert waiting.look("p0", "here", has_work=True) == LIMIT_S, "counted from when there was last nothing to do"


def test_what_waits_for_a_reason_says_so() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S)
    waiting.renew()
    clock.advance(LIMIT_S)
    waiting.look("p0", "here", has_work=True)
    assert not waiting.is_over()


class Ended(BaseException):
    """What `end` raises here in place of ending the process: it must not return."""


class Worker:
    """What `watch` sees of a `ConsumerApp`: partitions that stand ``at``, and what the broker has ``told`` of ends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.patience = Patience(LIMIT_S, self.clock.seconds)
        self.halt = Halt(lambda cause: None)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.lease = Lease(10.0, self.clock.seconds)
        self.engine = SimpleNamespace(in_flight=InFlight())
        self.tables = SimpleNamespace(recovery=SimpleNamespace(active_offsets={}))
        self.fetch_consumer = self
        self.is_ready = True
        self.at: dict[TP, Stand] = {}
        self.told: Mapping[TP, int] = {}
        self.ended: list[str] = []

    def consumer_is_ready(self) -> bool:
        return self.is_ready

    async def ends(self, timeout_s: float) -> Mapping[TP, int]:
        assert timeout_s == ASK_TIMEOUT_S
        return self.told

    def stands(self, ends: Mapping[TP, int]) -> dict[TP, Stand]:
        return {tp: stand._replace(end=max(stand.end, ends.get(tp, 0))) for tp, stand in self.at.items()}

    def recovered(self, offset: int) -> None:
        self.tables.recovery.active_offsets[CHANGELOG] = offset

    def end(self, reason: str) -> NoReturn:
        self.ended.append(reason)
        raise Ended(reason)

    async def for_s(self, seconds: float) -> None:
        """The watchdog looks, and again when so much time has passed."""
        await turns()
        self.clock.advance(seconds)
        await turns()

    def shown(self, gauge: str, tp: TP | None = None) -> float | None:
        labels = {} if tp is None else {"topic": tp.topic, "partition": str(tp.partition)}
        return self.registry.get_sample_value(f"herald_{gauge}", labels)


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """One that is watched, and asked at every turn of the loop."""
    monkeypatch.setattr(watchdog, "CHECK_EVERY_S", 0.0)
    monkeypatch.setattr(watchdog, "ASK_EVERY_S", 0.0)
    worker: Any = Worker()
    watching = asyncio.create_task(watchdog.watch(worker, worker.patience))
    yield worker
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize(
    "stand",
    [
        pytest.param(STUCK, id="in flight"),
        pytest.param(Stand(committed=5, finished=8, read=8, end=8, in_flight=False), id="finished, not committed"),
        pytest.param(Stand(committed=5, finished=5, read=5, end=8, in_flight=False), id="there to be read"),
    ],
)
async def test_work_that_stands_still_ends_the_process_when_patience_is_over(worker: Worker, stand: Stand) -> None:
    worker.at = {HERE: stand, THERE: IDLE}
    await worker.for_s(LIMIT_S)
    assert worker.ended == []
    await worker.for_s(1)
    assert worker.ended == ["no progress for 61 s with work to do"]


@pytest.mark.parametrize(
    ("stand", "moves"),
    [
        pytest.param(STUCK._replace(finished=1_000, end=2_000), "committed", id="committed"),
        pytest.param(STUCK._replace(end=2_000), "finished", id="finished"),
        pytest.param(STUCK._replace(end=2_000, in_flight=False), "read", id="read while nothing is in flight"),
    ],
)
async def test_work_that_moves_does_not(worker: Worker, stand: Stand, moves: str) -> None:
    for step in range(5):
        worker.at = {HERE: stand._replace(**{moves: getattr(stand, moves) + step})}
        await worker.for_s(LIMIT_S - 1)
    assert worker.ended == []


@pytest.mark.parametrize("moves", ["read", "end"])
async def test_new_records_behind_a_head_that_stands_still_do_not_save_it(worker: Worker, moves: str) -> None:
    for step in range(2):
        worker.at = {HERE: STUCK._replace(**{moves: 100 + step})}  # type: ignore[arg-type]
        await worker.for_s(LIMIT_S / 2 + 1)
    assert worker.ended == ["no progress for 62 s with work to do"]


@pytest.mark.parametrize(
    "at", [pytest.param({}, id="no partitions"), pytest.param({HERE: IDLE, THERE: IDLE}, id="nothing to do")]
)
async def test_a_worker_without_work_may_stand_for_ever(worker: Worker, at: dict[TP, Stand]) -> None:
    worker.at = at
    await worker.for_s(100 * LIMIT_S)
    assert worker.ended == []
    assert worker.shown("stuck_seconds") == 0


@pytest.mark.parametrize("is_ready", [pytest.param(True, id="at work"), pytest.param(False, id="in a recovery")])
async def test_a_worker_that_has_halted_is_left_as_it_is(worker: Worker, is_ready: bool) -> None:
    worker.at, worker.is_ready = {HERE: STUCK}, is_ready
    await worker.for_s(LIMIT_S)
    worker.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
    await worker.for_s(100 * LIMIT_S)
    assert worker.ended == []
    assert not worker.patience.is_over(), "it is live, too"


async def test_a_consumer_that_has_died_does_not_hide_that_there_is_more_to_read(worker: Worker) -> None:
    worker.at = {HERE: IDLE}
    await worker.for_s(LIMIT_S + 1)
    worker.told = {HERE: IDLE.end + 1}
    await worker.for_s(LIMIT_S + 1)
    assert worker.ended == ["no progress for 61 s with work to do"]


async def test_a_partition_that_leaves_takes_its_standstill_along(worker: Worker) -> None:
    worker.at = {HERE: STUCK, THERE: IDLE}
    await worker.for_s(LIMIT_S)
    worker.at = {THERE: IDLE}
    await worker.for_s(LIMIT_S)
    assert worker.ended == []
    for gauge in ("consumer_lag_records", "oldest_waiting_seconds", "commit_age_seconds"):
        assert (worker.shown(gauge, HERE), worker.shown(gauge, THERE)) == (None, 0)


async def test_a_recovery_may_take_its_time_as_long_as_it_gets_on(worker: Worker) -> None:
    worker.is_ready = False
    for offset in range(5):
        worker.recovered(offset)
        await worker.for_s(LIMIT_S - 1)
    assert worker.ended == []


async def test_a_recovery_that_stands_still_ends_the_process(worker: Worker) -> None:
    worker.is_ready = False
    worker.recovered(7)
    await worker.for_s(LIMIT_S)
    assert worker.ended == []
    await worker.for_s(1)
    assert worker.ended == ["no progress for 61 s with work to do"]


async def test_each_assignment_and_each_recovery_has_patience_of_its_own(worker: Worker) -> None:
    worker.at = {HERE: STUCK}
    for _ in range(2):
        worker.is_ready = True
        await worker.for_s(LIMIT_S)
        worker.is_ready = False
        await worker.for_s(LIMIT_S)
    assert worker.ended == []


async def test_what_is_seen_is_shown(worker: Worker) -> None:
    worker.at = {HERE: STUCK, THERE: IDLE}
    await worker.for_s(30)
    gauges = ("consumer_lag_records", "oldest_waiting_seconds", "commit_age_seconds")
    assert [worker.shown(gauge, HERE) for gauge in gauges] == [3, 30, 30]
    assert [worker.shown(gauge, THERE) for gauge in gauges] == [0, 0, 0]
    assert worker.shown("stuck_seconds") == 30


async def test_a_worker_that_is_cut_off_shows_for_how_long(worker: Worker) -> None:
    """It knows of nothing to read, has no lag, and would look healthy."""
    worker.at = {HERE: IDLE}
    worker.lease.renew(worker.lease.now())
    await worker.for_s(90)
    assert worker.shown("group_silent_seconds") == 90
    assert worker.shown("consumer_lag_records", HERE) == 0
    worker.lease.renew(worker.lease.now())
    await worker.for_s(2)
    assert worker.shown("group_silent_seconds") == 2


@pytest.mark.parametrize("meanwhile", ["a rebalance", "a wait that renewed patience"])
async def test_a_partition_that_has_gone_is_shown_no_more(worker: Worker, meanwhile: str) -> None:
    worker.at = {HERE: STUCK, THERE: IDLE}
    await worker.for_s(30)
    assert worker.shown("consumer_lag_records", HERE) == 3
    if meanwhile == "a rebalance":
        worker.is_ready = False
        await worker.for_s(2)
        worker.is_ready = True
    else:
        worker.patience.renew()
    worker.at = {THERE: IDLE}
    await worker.for_s(2)
    assert worker.shown("consumer_lag_records", HERE) is None
    assert worker.shown("consumer_lag_records", THERE) == 0
