"""What the tests here play goes on in the background from the first test on, as many at a time as there are cores.

At the lowest priority: it takes what the others leave while they wait.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.simulation.processes import TIMEOUT_S, Played, play

POOL: pytest.StashKey[ThreadPoolExecutor] = pytest.StashKey()
UNDER_WAY: pytest.StashKey[dict[str, Future[Played]]] = pytest.StashKey()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts what every test that was selected plays: its module's ``command`` of the test's parameters."""
    tests = [item for item in session.items if isinstance(item, pytest.Function) and "played" in item.fixturenames]
    if not tests or session.config.option.collectonly:
        return
    pool = session.config.stash[POOL] = ThreadPoolExecutor(os.cpu_count())
    session.config.stash[UNDER_WAY] = {
        item.nodeid: pool.submit(play, item.module.command(**item.callspec.params)) for item in tests
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    if pool := session.config.stash.get(POOL, None):
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Played:
    return request.config.stash[UNDER_WAY][request.node.nodeid].result(TIMEOUT_S)
