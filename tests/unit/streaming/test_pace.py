"""How long are records gathered? Not at all where little comes, longer where much does."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.pace import BUSY_PER_S, LOOK_BACK_S, Pace
from streaming.thread import LEAST_GATHER_MS

LONGEST_S = 0.2
# Below that, nothing is gathered.
LEAST_S = LEAST_GATHER_MS / 1_000


def steady(pace: Pace, *, per_s: float, seconds: float) -> float:
    """The last wait, where a fetch brings what came since the one before, and asking takes a millisecond."""
    now, end, wait_s = 10.0, 10.0 + seconds, 0.0
    while now < end:
        took_s = wait_s + 0.001
        now += took_s
        wait_s = pace.gather_s(now, round(per_s * took_s))
    return wait_s


def test_what_one_event_gives_rise_to_is_not_kept_waiting() -> None:
    pace = Pace(LONGEST_S)
    assert max(pace.gather_s(10.0 + n / 1000, 1) for n in range(100)) < LEAST_S


def test_an_event_every_few_hundred_milliseconds_is_not_kept_waiting_either() -> None:
    pace = Pace(LONGEST_S)
    assert max(pace.gather_s(n * 0.4 + after, 1) for n in range(100) for after in (0.0, 0.05, 0.06)) < LEAST_S


def test_what_comes_evenly_all_day_is_not_kept_waiting() -> None:
    assert steady(Pace(LONGEST_S), per_s=200, seconds=5.0) < LEAST_S


def test_a_mailing_to_a_thousand_is_gathered() -> None:
    assert Pace(LONGEST_S).gather_s(10.0, 1_000) == LONGEST_S * 1_000 / BUSY_PER_S


def test_under_load_records_are_gathered_for_as_long_as_it_gets() -> None:
    assert steady(Pace(LONGEST_S), per_s=3 * BUSY_PER_S, seconds=5.0) == LONGEST_S


def test_half_the_load_is_gathered_half_as_long() -> None:
    assert 0.4 * LONGEST_S < steady(Pace(LONGEST_S), per_s=BUSY_PER_S / 2, seconds=5.0) < 0.6 * LONGEST_S


def test_when_nothing_comes_any_more_nothing_waits_soon() -> None:
    pace = Pace(LONGEST_S)
    steady(pace, per_s=3 * BUSY_PER_S, seconds=2.0)
    assert pace.gather_s(12.0 + 10 * LOOK_BACK_S, 0) < LEAST_S


def test_a_role_that_does_not_gather_waits_for_nothing() -> None:
    pace = Pace(0.0)
    assert {pace.gather_s(now / 1000, 500) for now in range(100)} == {0.0}


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 2_000)), min_size=1, max_size=100))
def test_nothing_waits_longer_than_it_may(fetches: list[tuple[int, int]]) -> None:
    pace, now = Pace(LONGEST_S), 100.0
    for took_ms, records in fetches:
        now += took_ms / 1000
        assert 0 <= pace.gather_s(now, records) <= LONGEST_S


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_more_records_never_wait_less(few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert Pace(LONGEST_S).gather_s(10.0, few) <= Pace(LONGEST_S).gather_s(10.0, more)
