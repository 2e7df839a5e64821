"""The whole pipeline for these tests: servers of its own, since they are killed, and a worker process for every role.

It is started by the first test and stopped at the end. Every test uses names of its own and looks at nothing else's.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from cli.local import local_pipeline
from cli.stack import prepare
from stack import Stack
from tests.e2e.world import BATCH, CALLS, GRACE_S, TIERS_S, World

FIGURE = "figure"

SETTINGS = {
    "HERALD_RETRY_TIERS_S": ",".join(f"{tier:g}" for tier in TIERS_S),
    "HERALD_RETRY_ATTEMPTS": "4",
    "HERALD_SUBSCRIPTION_GRACE_S": f"{GRACE_S:g}",
    "HERALD_COMMIT_INTERVAL_S": "0.2",
    "HERALD_SESSION_TIMEOUT_S": "6",
    "HERALD_PROVIDER_TIMEOUT_S": "3",
    "HERALD_CALLS_IN_FLIGHT": str(CALLS),
    "HERALD_CALLS_FOR_URGENT": "2",
    "HERALD_BATCH_MESSAGES": str(BATCH),
}


@pytest.fixture(scope="package")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    folder = tmp_path_factory.mktemp("pipeline")
    with stack.running() as endpoints:
        prepare(endpoints)
        with local_pipeline(endpoints, folder, overrides=SETTINGS) as pipeline:
            yield World(stack, pipeline)


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """Everything runs and nothing is set to go wrong, before a test and after it."""
    supervisor = _world.pipeline.supervisor
    assert supervisor.failure is None, supervisor.failure
    yield _world
    for simulator in _world.pipeline.simulators.values():
        simulator.set_faults()
    supervisor.wait_until_ready(60)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note a measurement; all of them are printed at the end of the run."""
    return partial(record_property, FIGURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # A report comes from whichever process has run its test.
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    if figures := [value for one in reports for name, value in one.user_properties if name == FIGURE]:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(str(figure))
