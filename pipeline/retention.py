"""Which partitions should a table of rows by time have, and which of them have lasted long enough?

Partitions are spans of whole days in UTC, one after the other. Their ends lie on a grid of ``step_days`` that counts
from a Monday; where the step was another before, the first new span is as long as it takes to get back onto the grid.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)

# A table has partitions for so long to come, and when its first are made, for what is still to be read from Kafka.
AHEAD = timedelta(days=14)


class Span(NamedTuple):
    """``since`` ≤ time < ``until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """Rows are kept for ``keep_days``, and dropped ``step_days`` of them at a time."""

    keep_days: int
    step_days: int

    def oldest(self, now: datetime) -> datetime:
        """What is older may go."""
        return now - timedelta(days=self.keep_days)


def to_make(there: Iterable[Span], now: datetime, policy: RetentionPolicy) -> Iterator[Span]:
    """Those that are missing after the last one, up to `AHEAD` from now; a gap that the past left is filled."""
    step = timedelta(days=policy.step_days)
    start = max((one.until for one in there), default=_on_grid(now - AHEAD, step))
    start = max(start, _on_grid(policy.oldest(now), step))
    while start < now + AHEAD:
        until = _on_grid(start, step) + step
        yield Span(start, until)
        start = until


def to_drop(there: Iterable[Span], now: datetime, policy: RetentionPolicy) -> list[Span]:
    """Those wholly older than is kept, the oldest first."""
    return sorted(one for one in there if one.until <= policy.oldest(now))


def covered_until(there: Iterable[Span], now: datetime) -> datetime:
    """Up to when every row from now on finds its partition; ``now`` where there is none for it."""
    covered = now
    for one in sorted(there):
        if one.since <= covered < one.until:
            covered = one.until
    return covered


def _on_grid(moment: datetime, step: timedelta) -> datetime:
    """The last end of a span that is not after ``moment``."""
    return MONDAY + (moment - MONDAY) // step * step
