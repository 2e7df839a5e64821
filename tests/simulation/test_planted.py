"""The simulation finds mistakes: each one planted breaks a promise in some schedule."""

import pytest

from tests.simulation.planted import MISTAKES, Mistake
from tests.simulation.processes import TIMEOUT_S, Played

pytestmark = pytest.mark.timeout(TIMEOUT_S + 10)


def command(mistake: Mistake) -> list[str]:
    return ["tests.simulation.planted", mistake.name]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_found(mistake: Mistake, played: Played) -> None:
    assert played.returncode == 0, f"{played.stdout}\n{played.stderr}"
    assert "VIOLATION" in played.stdout
