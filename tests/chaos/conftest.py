"""The table of a chaos run, at the end of the tests that play a part of it."""

from collections.abc import Callable

import pytest

from tests.chaos.report import render
from tests.chaos.runner import Played
from tests.chaos.schedule import TEST_SEED

PLAYED: pytest.StashKey[list[Played]] = pytest.StashKey()


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Played], None]:
    """What became of a scenario, for the table."""
    return request.config.stash.setdefault(PLAYED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if played := config.stash.get(PLAYED, []):
        terminalreporter.section("chaos")
        terminalreporter.write(render(played, seed=TEST_SEED))
