"""The simulation finds mistakes: each one planted breaks a promise in some schedule."""

import os
import subprocess
import sys

import pytest

from tests.simulation.planted import MISTAKES, Mistake
from tests.simulation.test_schedules import ROOT, TIMEOUT_S

pytestmark = pytest.mark.timeout(TIMEOUT_S + 10)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_found(mistake: Mistake) -> None:
    searched = subprocess.run(
        [sys.executable, "-m", "tests.simulation.planted", mistake.name],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert searched.returncode == 0, f"{searched.stdout}\n{searched.stderr}"
    assert "VIOLATION" in searched.stdout
