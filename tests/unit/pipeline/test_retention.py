"""Partitions follow one another without a gap, on a grid of weeks or days, and go when all in them is old."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retention import AHEAD, RetentionPolicy, Span, covered_until, to_drop, to_make

WEDNESDAY = datetime(2026, 11, 25, 15, 30, tzinfo=UTC)
DAY = timedelta(days=1)
WEEKLY = RetentionPolicy(keep_days=400, step_days=7)
DAILY = RetentionPolicy(keep_days=400, step_days=1)


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def test_the_first_ones_are_weeks_from_monday_on_back_to_what_kafka_still_holds() -> None:
    made = list(to_make([], WEDNESDAY, WEEKLY))
    assert made[0] == Span(day(11, 9), day(11, 16))
    assert made[-1] == Span(day(12, 7), day(12, 14))


def test_a_day_later_there_is_nothing_to_do_and_a_week_later_one_is_missing() -> None:
    there = list(to_make([], WEDNESDAY, WEEKLY))
    assert list(to_make(there, WEDNESDAY + DAY, WEEKLY)) == []
    assert list(to_make(there, WEDNESDAY + 7 * DAY, WEEKLY)) == [Span(day(12, 14), day(12, 21))]


@pytest.mark.parametrize(
    ("last", "policy", "first"),
    [
        (day(12, 7), DAILY, Span(day(12, 7), day(12, 8))),
        (day(12, 1), WEEKLY, Span(day(12, 1), day(12, 7))),  # a Tuesday: only up to the next Monday
        (day(9, 1), WEEKLY, Span(day(9, 1), day(9, 7))),  # nobody was at it for months
    ],
    ids=["from weeks to days", "from days to weeks", "a gap"],
)
def test_they_go_on_where_the_last_one_ends(last: datetime, policy: RetentionPolicy, first: Span) -> None:
    made = list(to_make([Span(last - 7 * DAY, last)], WEDNESDAY, policy))
    assert made[0] == first


def test_a_gap_older_than_is_kept_is_not_filled() -> None:
    made = list(to_make([Span(datetime(2020, 1, 6, tzinfo=UTC), datetime(2020, 1, 13, tzinfo=UTC))], WEDNESDAY, WEEKLY))
    assert made[0].since <= WEEKLY.oldest(WEDNESDAY) < made[0].until


@given(
    st.lists(st.tuples(st.integers(0, 3_650 * 24), st.integers(1, 31)), min_size=1),
    st.integers(31, 500),
)
def test_whatever_the_steps_were_there_is_no_gap_and_no_overlap(runs: list[tuple[int, int]], keep_days: int) -> None:
    there: list[Span] = []
    for hours, step_days in sorted(runs):
        now = WEDNESDAY + timedelta(hours=hours)
        policy = RetentionPolicy(keep_days=keep_days, step_days=step_days)
        made = list(to_make(there, now, policy))
        assert all(timedelta() < one.until - one.since <= step_days * DAY for one in made)
        there += made
        assert covered_until(there, now) >= now + AHEAD
        dropped = to_drop(there, now, policy)
        assert all(one.until <= now - keep_days * DAY for one in dropped)
        there = [one for one in there if one not in dropped]
    assert all(one.until <= other.since for one, other in pairwise(there))


def test_one_goes_when_its_youngest_row_is_old() -> None:
    span = Span(day(1, 5), day(1, 12))
    assert to_drop([span], span.until + 400 * DAY - timedelta(microseconds=1), WEEKLY) == []
    assert to_drop([span], span.until + 400 * DAY, WEEKLY) == [span]


def test_covered_ends_at_the_first_gap() -> None:
    spans = [Span(day(11, 30), day(12, 7)), Span(day(11, 23), day(11, 30)), Span(day(12, 14), day(12, 21))]
    assert covered_until(spans, WEDNESDAY) == day(12, 7)
    assert covered_until(spans[2:], WEDNESDAY) == WEDNESDAY
