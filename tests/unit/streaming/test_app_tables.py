"""Partitions are worked on with their tables or not at all."""

from pathlib import Path
from typing import NoReturn

import pytest
from faust.assignor.client_assignment import ClientAssignment
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from streaming.app import ConsumerApp, WorkerPolicy
from streaming.engine import Drained
from streaming.table import table

LANES = frozenset(TP(lane, partition) for lane in ("urgent", "bulk") for partition in (1, 3))


class Ended(BaseException):
    """What `end` raises here in place of ending the process: it must not return."""


def end(reason: str) -> NoReturn:
    raise Ended(reason)


class Consumer:
    """Has sought the partitions of ``sought``; None: they were taken away meanwhile."""

    assigned_at = 0.0

    def __init__(self, sought: frozenset[TP] | None) -> None:
        self._sought = sought
        self.opened: list[frozenset[TP]] = []

    def prepared(self) -> frozenset[TP] | None:
        return self._sought

    def open(self, assigned: frozenset[TP]) -> None:
        self.opened.append(assigned)


class Worker:
    """A worker of two tables, at the end of its recovery: no service of it has been started."""

    def __init__(self, data_dir: Path) -> None:
        policy = WorkerPolicy(
            group="g",
            kafka="127.0.0.1:1",
            partitions=4,
            replication_factor=1,
            data_dir=data_dir,
            instance_id=None,
            session_timeout_s=6.0,
            commit_interval_s=1.0,
            drain_timeout_s=1.0,
            stuck_timeout_s=60.0,
            start_timeout_s=1.0,
            fetch_messages=10,
            topics=(),
        )
        self.app = ConsumerApp(policy, Metrics(CollectorRegistry()), end=end)
        self.changelogs = [table(self.app, name, help="").changelog_topic_name for name in ("claims", "seen")]
        self.taken_over: list[frozenset[TP]] = []
        self.app.engine.on_assigned(self.taken_over.append)

    async def is_assigned(self, sought: frozenset[TP] | None, *tables: list[int]) -> Consumer:
        """The group gives it these partitions of each table's changelog; returns what it did with the lanes'."""
        actives = {changelog: came for changelog, came in zip(self.changelogs, tables, strict=True) if came}
        self.app.assignor._assignment = ClientAssignment(actives=actives, standbys={})  # type: ignore[attr-defined]
        consumer = Consumer(sought)
        self.app.consumer = consumer  # type: ignore[assignment]
        await self.app.engine.drain()
        self.app.on_rebalance_end()
        return consumer

    def may_work(self) -> bool:
        try:
            with self.app.engine.work():
                return True
        except Drained:
            return False


@pytest.fixture
async def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.mark.parametrize(
    ("claims", "seen"),
    [
        pytest.param([1, 3], [1, 3], id="those of the lanes"),
        pytest.param([0, 1, 2, 3], [1, 2, 3], id="and others"),
    ],
)
async def test_with_all_of_their_tables_partitions_are_opened(
    worker: Worker, claims: list[int], seen: list[int]
) -> None:
    consumer = await worker.is_assigned(LANES, claims, seen)
    assert consumer.opened == worker.taken_over == [LANES]
    assert worker.may_work()


@pytest.mark.parametrize(
    ("claims", "seen", "missing"),
    [
        pytest.param([], [], "[1, 3] came without their table claims", id="no table came"),
        pytest.param([1, 3], [], "[1, 3] came without their table seen", id="a table did not come"),
        pytest.param([1], [1, 3], "[3] came without their table claims", id="a partition of a table did not come"),
        pytest.param([1, 3], [0, 2, 3], "[1] came without their table seen", id="others came in its place"),
    ],
)
async def test_without_one_of_their_tables_the_process_ends_before_anything_is_done(
    worker: Worker, claims: list[int], seen: list[int], missing: str
) -> None:
    with pytest.raises(Ended) as ended:
        await worker.is_assigned(LANES, claims, seen)
    assert str(ended.value) == f"partitions {missing}"
    assert worker.app.fetch_consumer.opened == worker.taken_over == []  # type: ignore[attr-defined]
    assert not worker.may_work()


async def test_a_worker_that_was_given_nothing_needs_no_table(worker: Worker) -> None:
    consumer = await worker.is_assigned(frozenset(), [], [])
    assert consumer.opened == [frozenset()], "it is ready, and has nothing to do"


async def test_partitions_that_were_taken_away_meanwhile_are_not_missed_or_opened(worker: Worker) -> None:
    consumer = await worker.is_assigned(None, [], [])
    assert consumer.opened == worker.taken_over == []
    assert not worker.may_work()
