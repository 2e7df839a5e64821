"""Moments as milliseconds since the epoch, which is how Kafka and headers have them, and as datetimes, in UTC."""

from datetime import UTC, datetime
from functools import lru_cache


def to_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


@lru_cache(maxsize=1_024)
def from_ms(ms: int) -> datetime:
    """The same object for the same time: a batch has few."""
    return datetime.fromtimestamp(ms / 1000, UTC)
