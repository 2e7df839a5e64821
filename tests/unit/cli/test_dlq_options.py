"""Durations, times and ids as operators type them."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from cli.dlq_options import Id, Moment


@pytest.mark.parametrize(("typed", "ago"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)])
def test_a_duration_counts_back_from_now(typed: str, ago: int) -> None:
    before = datetime.now(UTC)
    found = Moment().convert(typed, None, None)
    assert before <= found + timedelta(seconds=ago) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("2026-03-05", datetime(2026, 3, 5, tzinfo=UTC)),
        ("2026-03-05T08:30:00", datetime(2026, 3, 5, 8, 30, tzinfo=UTC)),
        ("2026-03-05T08:30:00+03:00", datetime(2026, 3, 5, 5, 30, tzinfo=UTC)),
        ("2026-03-05T08:30:00Z", datetime(2026, 3, 5, 8, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_utc(typed: str, at: datetime) -> None:
    assert Moment().convert(typed, None, None) == at


@pytest.mark.parametrize("typed", ["", "2", "h", "-2h", "2 h", "2w", "٢h", "999999d", "yesterday"])
def test_anything_else_is_refused_with_what_would_do(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="ISO 8601"):
        Moment().convert(typed, None, None)


@pytest.mark.parametrize("typed", ["", "1", "1-", "-1", "a-1", "1-2-3", "1-" + "9" * 30])
def test_an_id_is_partition_and_offset(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="partition"):
        Id().convert(typed, None, None)
    assert Id().convert("3-41", None, None) == "3-41"
