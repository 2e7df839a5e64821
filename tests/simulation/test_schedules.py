"""Ten thousand schedules of mishaps: no promise is broken in any of them.

Each block runs in a process of its own, as the command that plays a failing schedule again does. ``SIMULATE_FROM``
moves all blocks to other seeds.
"""

import os

import pytest

from tests.simulation.processes import TIMEOUT_S, Played

BLOCK = 1_000
BLOCKS = {"sending": 6, "enriching": 2, "everything": 2}
FROM = int(os.environ.get("SIMULATE_FROM", "0"))

pytestmark = pytest.mark.timeout(TIMEOUT_S + 10)


def command(profile: str, first: int) -> list[str]:
    return ["tests.simulation", profile, f"{first}-{first + BLOCK - 1}"]


@pytest.mark.parametrize(
    ("profile", "first"),
    [(profile, FROM + BLOCK * block) for profile, blocks in BLOCKS.items() for block in range(blocks)],
)
def test_no_schedule_breaks_a_promise(profile: str, first: int, played: Played) -> None:
    print(played.stdout)  # noqa: T201 the rate, and the story of what failed
    assert played.returncode == 0, f"{played.stdout}\n{played.stderr}"
