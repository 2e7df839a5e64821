"""A worker is live while its work moves, and ready once it has started and has its partitions, until it halts."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.halting import HaltCause
from streaming.app import ConsumerApp, ServiceApp
from streaming.halt import Halt
from streaming.watchdog import Patience
from tests.fakes import Clock
from web.role_health import RoleHealth

LIMIT_S = 60.0


class Consuming(ConsumerApp):
    """Of a role with a consumer group, what its health is told from."""

    started = True

    def __init__(self) -> None:
        self.clock = Clock()
        self.patience = Patience(LIMIT_S, self.clock.seconds)
        self.halt = Halt(lambda cause: None)
        self.consumes = SimpleNamespace(is_open=True)

    @property
    def fetch_consumer(self) -> Any:
        return self.consumes


class Serving(ServiceApp):
    """The same of a role without one."""

    started = True

    def __init__(self) -> None:
        self.halt = Halt(lambda cause: None)


Worker = Consuming | Serving


@pytest.fixture(params=[Consuming, Serving])
def worker(request: pytest.FixtureRequest) -> Worker:
    made: Worker = request.param()
    return made


@pytest.fixture
def consuming() -> Consuming:
    return Consuming()


def live(worker: Worker) -> list[str]:
    return [problem.check for problem in RoleHealth(worker).live()]


def ready(worker: Worker) -> list[str]:
    return [problem.check for problem in RoleHealth(worker).ready()]


def test_when_all_is_well_there_is_nothing_to_complain_of(worker: Worker) -> None:
    assert (live(worker), ready(worker)) == ([], [])


def test_a_worker_that_has_halted_is_not_ready_and_says_why(worker: Worker) -> None:
    worker.halt.begin(HaltCause.RECORDS_LOST, "Kafka has lost records")
    (problem,) = RoleHealth(worker).ready()
    assert (problem.check, problem.detail) == ("halted", "Kafka has lost records")
    assert live(worker) == [], "a restart would let it go on for a little"


def test_before_it_has_started_it_is_not_ready_and_is_live(worker: Worker) -> None:
    worker.started = False
    assert (live(worker), ready(worker)) == ([], ["consumer" if isinstance(worker, Consuming) else "start"])


def test_while_partitions_are_assigned_or_tables_recovered_it_is_not_ready(consuming: Consuming) -> None:
    consuming.consumes.is_open = False
    assert (live(consuming), ready(consuming)) == ([], ["consumer"])


def test_of_two_reasons_people_are_told_the_one_that_needs_them(consuming: Consuming) -> None:
    consuming.consumes.is_open = False
    consuming.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
    assert ready(consuming) == ["halted"]


def test_when_patience_is_over_it_is_not_live(consuming: Consuming) -> None:
    consuming.patience.look("p0", "here", has_work=True)
    consuming.clock.advance(LIMIT_S)
    assert live(consuming) == []
    consuming.clock.advance(1)
    assert live(consuming) == ["progress"], "also when its watchdog does not look any more"


def test_a_worker_that_moves_on_is_live_again(consuming: Consuming) -> None:
    consuming.patience.look("p0", "here", has_work=True)
    consuming.clock.advance(LIMIT_S + 1)
    consuming.patience.look("p0", "there", has_work=True)
    assert live(consuming) == []
