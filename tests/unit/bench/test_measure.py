"""A benchmark that could not see what was lost or told twice would be worth nothing."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.measure import Losses, count_losses


@dataclass(frozen=True)
class Told:
    """What a provider says of itself, `simulators.ledger.Summary` in part."""

    messages: int
    distinct: int

    def summary(self) -> "Told":
        return self


@pytest.mark.parametrize(
    ("sent", "providers", "losses"),
    [
        (100, [Told(100, 100)], Losses(lost=0, duplicates=0)),
        (100, [Told(40, 40), Told(60, 60)], Losses(lost=0, duplicates=0)),
        (99, [Told(100, 100)], Losses(lost=1, duplicates=0)),
        (100, [Told(99, 99)], Losses(lost=1, duplicates=0)),
        (100, [Told(100, 98)], Losses(lost=2, duplicates=2)),
        (100, [Told(103, 100)], Losses(lost=0, duplicates=3)),
        # Each another, and more of them than there were to be told: what nobody asked for counts as told twice.
        (100, [Told(103, 103)], Losses(lost=0, duplicates=3)),
        (0, [Told(0, 0)], Losses(lost=100, duplicates=0)),
        (102, [Told(100, 100)], Losses(lost=0, duplicates=2)),  # rows that nobody was told of
    ],
)
async def test_what_is_lost_or_too_many_is_counted(sent: int, providers: list[Told], losses: Losses) -> None:
    async def count_sent(_: Any) -> int:
        return sent

    side: Any = SimpleNamespace(count_sent=count_sent, simulators=dict(enumerate(providers)))
    assert await count_losses(side, object(), 100) == losses  # type: ignore[arg-type]
