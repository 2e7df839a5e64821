"""How soon is the next fetch asked for? At once where little comes, after a rest where much does."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.pace import BUSY_PER_S, SHORTEST_S, Pace

GATHER_S = 0.2
FULL = 1_000


def steady(pace: Pace, *, per_s: float, seconds: float, now: float = 10.0) -> list[float]:
    """The rests, where a fetch brings what came since the one before, and asking takes a millisecond."""
    rests = []
    took_s, end = 0.001, now + seconds
    while now < end:
        rests.append(pace.rest_s(now, min(FULL - 1, round(per_s * took_s))))
        took_s = rests[-1] + 0.001
        now += took_s
    return rests


def test_what_one_event_gives_rise_to_is_not_kept_waiting() -> None:
    pace = Pace(GATHER_S, FULL)
    assert [pace.rest_s(10.0 + n / 1000, 1) for n in range(10)] == [0.0] * 10


def test_an_event_every_few_hundred_milliseconds_is_not_kept_waiting_either() -> None:
    pace = Pace(GATHER_S, FULL)
    assert {pace.rest_s(n * 0.4 + after, 1) for n in range(100) for after in (0.0, 0.05, 0.06)} == {0.0}


def test_under_load_each_rest_is_as_long_as_it_gets() -> None:
    rests = steady(Pace(GATHER_S, FULL), per_s=3 * BUSY_PER_S, seconds=5.0)
    assert rests[-2:] in ([0.0, GATHER_S], [GATHER_S, 0.0])


def test_half_the_load_rests_half_as_long() -> None:
    rests = steady(Pace(GATHER_S, FULL), per_s=BUSY_PER_S / 2, seconds=5.0)
    assert 0.4 * GATHER_S < max(rests[-2:]) < 0.6 * GATHER_S


def test_what_was_fetched_before_a_rest_is_followed_at_once_by_what_gathered_in_it() -> None:
    pace = Pace(GATHER_S, FULL)
    assert pace.rest_s(10.0, FULL - 1) > 0
    assert pace.rest_s(10.1, FULL - 1) == 0
    assert pace.rest_s(10.2, FULL - 1) > 0


def test_a_full_fetch_is_followed_at_once_and_is_no_rest() -> None:
    pace = Pace(GATHER_S, FULL)
    assert pace.rest_s(10.0, FULL) == 0
    assert pace.rest_s(10.0, FULL - 1) > 0


def test_after_a_quiet_time_nothing_waits_again() -> None:
    pace = Pace(GATHER_S, FULL)
    steady(pace, per_s=3 * BUSY_PER_S, seconds=2.0)
    pace.rest_s(30.0, 1)
    assert pace.rest_s(30.001, 1) == 0


def test_without_gathering_there_is_no_rest() -> None:
    pace = Pace(0.0, FULL)
    assert {pace.rest_s(now / 1000, 500) for now in range(100)} == {0.0}


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 2 * FULL)), min_size=1, max_size=100))
def test_no_rest_is_longer_than_it_may_be_nor_shorter_than_the_clock_knows(fetches: list[tuple[int, int]]) -> None:
    pace, now = Pace(GATHER_S, FULL), 100.0
    for took_ms, records in fetches:
        now += took_ms / 1000
        rest_s = pace.rest_s(now, records)
        assert rest_s == 0 or SHORTEST_S <= rest_s <= GATHER_S
        now += rest_s


@given(st.lists(st.integers(1, FULL - 1), min_size=1, max_size=50))
def test_of_two_fetches_one_at_least_is_followed_at_once(fetches: list[int]) -> None:
    """What waits longest waits for one rest, never for two in a row."""
    pace, now, before = Pace(GATHER_S, FULL), 100.0, 0.0
    for records in fetches:
        rest_s = pace.rest_s(now, records)
        assert not (rest_s and before)
        now, before = now + rest_s, rest_s
