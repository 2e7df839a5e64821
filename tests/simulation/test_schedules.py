"""Ten thousand schedules of mishaps: no promise is broken in any of them.

Each block runs in a process of its own, as the command that plays a failing schedule again does. ``SIMULATE_FROM``
moves all blocks to other seeds.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = 1_000
BLOCKS = {"sending": 6, "enriching": 2, "everything": 2}
FROM = int(os.environ.get("SIMULATE_FROM", "0"))
TIMEOUT_S = 600.0

pytestmark = pytest.mark.timeout(TIMEOUT_S + 10)


@pytest.mark.parametrize(
    ("profile", "first"),
    [(profile, FROM + BLOCK * block) for profile, blocks in BLOCKS.items() for block in range(blocks)],
)
def test_no_schedule_breaks_a_promise(profile: str, first: int) -> None:
    played = subprocess.run(
        [sys.executable, "-m", "tests.simulation", profile, f"{first}-{first + BLOCK - 1}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    print(played.stdout)  # noqa: T201 the rate, and the story of what failed
    assert played.returncode == 0, f"{played.stdout}\n{played.stderr}"
