"""How is one figure made of many? Medians with their spread, percentiles by the nearest rank."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Of the rounds of a run: the middle one, the least and the most."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:,.0f} ({self.low:,.0f} to {self.high:,.0f})"


def spread(values: Iterable[float]) -> Spread:
    """Raises statistics.StatisticsError where there are none."""
    some = list(values)
    return Spread(median(some), min(some), max(some))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of values that are sorted, by the nearest rank; ValueError where there are none."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """In seconds."""

    p50: float
    p95: float
    p99: float
    worst: float


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Raises ValueError where there are none."""
    ordered = sorted(seconds)
    p50, p95, p99, worst = (percentile(ordered, percent) for percent in (50, 95, 99, 100))
    return Percentiles(p50=p50, p95=p95, p99=p99, worst=worst)
