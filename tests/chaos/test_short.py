"""A part of `make chaos` that fits in minutes: each kind of fault in small, with an account of its own."""

from collections.abc import Callable, Iterator

import pytest

from tests.chaos.arena import Arena
from tests.chaos.runner import Played, play_one
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.schedule import SCENARIOS, TEST_SEED


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("chaos"), brokers=1, seed=TEST_SEED) as arena:
        yield arena


@pytest.mark.timeout(400)
@pytest.mark.parametrize("scenario", SHORT.choose(SCENARIOS), ids=lambda one: one.name)
def test_every_promise_is_kept(arena: Arena, scenario: Scenario, note: Callable[[Played], None]) -> None:
    played = play_one(scenario, arena, scale=SHORT, seed=TEST_SEED)
    note(played)
    assert not played.broken, "\n".join([*played.broken, f"its history is in {arena.folder}"])
