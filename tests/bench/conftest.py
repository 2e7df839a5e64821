"""The ratio of the small benchmark, at the end of the tests."""

from collections.abc import Callable

import pytest

RATIO: pytest.StashKey[str] = pytest.StashKey()


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What is to be printed at the end."""

    def keep(text: str) -> None:
        request.config.stash[RATIO] = text

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if text := config.stash.get(RATIO, ""):
        terminalreporter.section("benchmark, small")
        terminalreporter.write_line(text)
