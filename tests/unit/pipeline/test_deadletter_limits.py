"""Limits of the dead letters: a row of them, or too large a part of all, and never a few."""

import pytest

from pipeline.deadletter_limits import DeadLetterLimits, DeadLetterPolicy

POLICY = DeadLetterPolicy(consecutive=10, ratio=0.5, window=100)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        pytest.param([(5, 5, 5), (5, 5, 5)], "10 bugs in a row", id="a row over two turns"),
        pytest.param([(5, 5, 5), (1, 0, 0), (5, 5, 5)], None, id="a row that was broken"),
        pytest.param([(5, 5, 5), (0, 0, 0), (5, 5, 5)], "10 bugs in a row", id="an empty turn breaks nothing"),
        pytest.param([(9, 9, 9)], None, id="one less"),
        pytest.param([(50, 50, 0)], None, id="retries that are exhausted come in bursts"),
        pytest.param([(10, 6, 0)] * 9, None, id="too large a part of too few"),
        pytest.param([(10, 6, 0)] * 10, "60 of the last 100 records became dead letters", id="too large a part"),
        pytest.param([(10, 5, 0)] * 100, None, id="just the part that may be"),
        pytest.param(
            [(10, 0, 0)] * 100 + [(10, 9, 0)] * 6, "54 of the last 100 records became dead letters", id="lately"
        ),
        pytest.param([(10, 9, 0)] * 5 + [(10, 0, 0)] * 100, None, id="long ago"),
        pytest.param([(10, 1, 1)] * 1_000, None, id="one in ten"),
    ],
)
def test_limits(turns: list[tuple[int, int, int]], reason: str | None) -> None:
    limits = DeadLetterLimits(POLICY)
    told = (limits.note(ended, dead=dead, bugs=bugs) for ended, dead, bugs in turns)
    assert next(filter(None, told), None) == reason
