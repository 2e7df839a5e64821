"""How often a fetch is asked for: a few at once, then one in a while, each with what gathered until then."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.pace import AT_ONCE, SHORTEST_S, Pace

GATHER_S = 0.05


def test_a_few_follow_each_other_at_once_then_there_is_a_rest() -> None:
    pace = Pace(GATHER_S)
    assert [pace.rest_s(10.0) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert pace.rest_s(10.0) > 0


def test_what_was_fetched_before_a_rest_is_followed_at_once_by_what_gathered_in_it() -> None:
    pace = Pace(GATHER_S)
    now = 10.0
    while not (rest_s := pace.rest_s(now)):
        pass
    now += rest_s
    assert pace.rest_s(now) == 0
    assert pace.rest_s(now) > 0


def test_a_quiet_time_lets_a_few_through_again() -> None:
    pace = Pace(GATHER_S)
    while not pace.rest_s(10.0):
        pass
    pace.rest_s(20.0)
    assert [pace.rest_s(20.0) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE


def test_without_gathering_there_is_no_rest() -> None:
    pace = Pace(0.0)
    assert {pace.rest_s(now / 1000) for now in range(100)} == {0.0}


@given(st.lists(st.integers(0, 200), min_size=50, max_size=100))
def test_over_time_two_fetches_in_a_while_at_most(took_ms: list[int]) -> None:
    """However long each takes: one with what gathered, one with what was asked for ahead; and no rest is longer."""
    pace = Pace(GATHER_S)
    now = begin = 100.0
    fetches = 0
    for ms in took_ms:
        fetches += 1
        rest_s = pace.rest_s(now)
        assert 0 <= rest_s <= GATHER_S + SHORTEST_S
        now += rest_s + ms / 1000
    assert fetches <= 2 * ((now - begin) / GATHER_S + AT_ONCE + 1)
