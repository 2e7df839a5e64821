"""A schedule is the whole story: played again, it is told again, and what it does not need is left out."""

import pytest

from tests.simulation.choices import Choices, Drawn, Given, parsed, written
from tests.simulation.planted import MISTAKES, found
from tests.simulation.schedules import PROFILES, simulated
from tests.simulation.search import play
from tests.simulation.world import story


def _story(profile: str, choices: Choices) -> list[str]:
    world = PROFILES[profile](choices)
    world.run()
    return list(story(world))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_and_the_schedule_that_it_drew_tell_the_same_story(profile: str) -> None:
    with simulated():
        drawn = Choices(Drawn(7))
        first = _story(profile, drawn)
        assert _story(profile, Choices(Drawn(7))) == first
        assert _story(profile, Choices(Given(parsed(written(drawn.taken))))) == first


@pytest.mark.parametrize("profile", PROFILES)
def test_a_day_without_mishaps_comes_to_its_end(profile: str) -> None:
    with simulated():
        assert play(profile, Given({})) is None


def test_a_failing_schedule_is_shortened() -> None:
    (mistake,) = [one for one in MISTAKES if one.name == "doubt_is_not_asked_for"]
    failure = found(mistake)
    assert failure is not None
    assert len(failure.schedule) <= 3, written(failure.schedule)
