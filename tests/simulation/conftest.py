"""What the tests of a module play goes on side by side, as many at a time as there are cores."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.simulation.processes import TIMEOUT_S, Played, play


@pytest.fixture(scope="module")
def under_way(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Played]]]:
    """What every test of the module that was selected plays: its ``command`` of the test's parameters."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = [item for item in request.session.items if item.getparent(pytest.Module).obj is request.module]  # type: ignore[union-attr]
        yield {
            item.nodeid: pool.submit(play, request.module.command(**item.callspec.params))  # type: ignore[attr-defined]
            for item in tests
        }
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def played(request: pytest.FixtureRequest, under_way: Mapping[str, Future[Played]]) -> Played:
    return under_way[request.node.nodeid].result(TIMEOUT_S)
