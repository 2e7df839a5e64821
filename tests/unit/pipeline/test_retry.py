"""Never early, never for ever: what follows a failed call."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DeliveryError, Throttled, TransientError, Unconfirmed
from pipeline.retry import DAY_S, GiveUp, RetryAt, RetryPolicy, decide_retry, tier_for

TIERS_S = (30.0, 120.0, 600.0, 3_600.0, 21_600.0)
POLICY = RetryPolicy(tiers_s=TIERS_S, attempts=6, total_s=DAY_S, jitter=0.05)
NOW_MS = 1_800_000_000_000

tiers = st.lists(st.integers(1, 86_400_000), min_size=1, max_size=6, unique=True).map(
    lambda ms: tuple(one / 1000 for one in sorted(ms))
)
policies = st.builds(
    RetryPolicy,
    tiers_s=tiers,
    attempts=st.integers(1, 20),
    total_s=st.floats(1, 10 * DAY_S),
    jitter=st.floats(0, 0.99),
)
waits = st.one_of(st.none(), st.floats(0, DAY_S), st.floats(allow_nan=True, allow_infinity=True))
errors = st.builds(
    lambda kind, asked_s: kind("busy", retry_after_s=asked_s),
    st.sampled_from([TransientError, Throttled, Unconfirmed]),
    waits,
)
chances = st.floats(0, 1, exclude_max=True)


def decide(error: DeliveryError, attempts: int = 0, *, age_s: float = 0.0, chance: float = 0.0) -> RetryAt | GiveUp:
    return decide_retry(
        error,
        attempts=attempts,
        created_ms=NOW_MS - round(age_s * 1000),
        now_ms=NOW_MS,
        policy=POLICY,
        chance=chance,
    )


@given(error=errors, attempts=st.integers(0, 20), age_ms=st.integers(0, 10**9), policy=policies, chance=chances)
def test_limits(error: DeliveryError, attempts: int, age_ms: int, policy: RetryPolicy, chance: float) -> None:
    created_ms = NOW_MS - age_ms
    decision = decide_retry(
        error, attempts=attempts, created_ms=created_ms, now_ms=NOW_MS, policy=policy, chance=chance
    )
    assert decision.attempts == attempts + (not isinstance(error, Throttled))
    if isinstance(decision, GiveUp):
        return
    waits_s = (decision.due_ms - NOW_MS) / 1000
    assert decision.tier_s in policy.tiers_s
    assert waits_s >= decision.tier_s, "never before its tier"
    asked_s = error.retry_after_s or 0.0
    if math.isfinite(asked_s):
        assert waits_s >= min(asked_s, DAY_S), "never before what was asked for, up to a day"
    assert waits_s <= max(DAY_S, decision.tier_s), "no header is refused for being too far ahead"
    assert decision.attempts < policy.attempts, "an attempt is left for it"
    assert decision.due_ms <= created_ms + policy.total_s * 1000, "time is left for it"


@given(errors, chances, policies)
def test_a_notification_ends_by_attempts_or_by_time(error: DeliveryError, chance: float, policy: RetryPolicy) -> None:
    """However the provider fails, following every decision comes to an end."""
    now_ms, attempts, calls = NOW_MS, 0, 0
    longest = policy.total_s / policy.tiers_s[0] + policy.attempts
    while calls <= min(longest, 200):
        calls += 1
        decision = decide_retry(
            error, attempts=attempts, created_ms=NOW_MS, now_ms=now_ms, policy=policy, chance=chance
        )
        if isinstance(decision, GiveUp):
            break
        assert decision.due_ms > now_ms
        now_ms, attempts = decision.due_ms, decision.attempts
    else:
        assert longest > 200
    if not isinstance(error, Throttled):
        assert calls <= policy.attempts


@pytest.mark.parametrize(
    ("attempts", "asked_s", "tier_s", "after_s"),
    [
        pytest.param(0, None, 30, 30, id="first failure, first tier"),
        pytest.param(1, None, 120, 120, id="second failure, second tier"),
        pytest.param(4, None, 21_600, 21_600, id="fifth failure, last tier"),
        pytest.param(0, 10, 30, 30, id="asked for less than the tier"),
        pytest.param(0, 31, 120, 120, id="asked for more: the next tier that is as long"),
        pytest.param(2, 31, 600, 600, id="a turn's tier is not shortened by asking"),
        pytest.param(0, 25_000, 21_600, 25_000, id="asked for more than any tier: the last, and longer"),
        pytest.param(0, -5, 30, 30, id="a time in the past"),
        pytest.param(0, 0.0004, 30, 30, id="next to nothing"),
    ],
)
def test_tier_and_time(attempts: int, asked_s: float | None, tier_s: float, after_s: float) -> None:
    decision = decide(TransientError("busy", retry_after_s=asked_s), attempts)
    assert isinstance(decision, RetryAt)
    assert (decision.tier_s, decision.due_ms - NOW_MS) == (tier_s, after_s * 1000)


def test_the_last_attempt_is_the_last() -> None:
    assert isinstance(decide(TransientError("busy"), 4), RetryAt)
    assert decide(TransientError("busy"), 5) == GiveUp(6, "after 6 attempts: busy")


def test_throttling_spends_no_attempt_and_is_bounded_by_time() -> None:
    first = decide(Throttled("slow down"), 5)
    assert isinstance(first, RetryAt)
    assert first.attempts == 5
    assert decide(Throttled("slow down"), 5, age_s=DAY_S) == GiveUp(5, "no time left: slow down")


def test_time_counts_to_the_next_attempt_not_to_this_one() -> None:
    assert isinstance(decide(TransientError("busy"), age_s=DAY_S - 30), RetryAt)
    assert isinstance(decide(TransientError("busy"), age_s=DAY_S - 29), GiveUp)


def test_jitter_only_adds_and_stays_small() -> None:
    for chance in (0.0, 0.5, 0.999):
        decision = decide(TransientError("busy"), chance=chance)
        assert isinstance(decision, RetryAt)
        assert decision.due_ms - NOW_MS == math.ceil(30_000 * (1 + 0.05 * chance))


def test_only_an_unconfirmed_call_leaves_doubt() -> None:
    doubts = [decide(kind("?")) for kind in (TransientError, Throttled, Unconfirmed)]
    assert [one.in_doubt for one in doubts if isinstance(one, RetryAt)] == [False, False, True]


@given(st.integers(1, 50), st.floats(0, 2 * DAY_S), tiers)
def test_a_tier_is_the_shortest_that_will_do(turn: int, at_least_s: float, tiers_s: tuple[float, ...]) -> None:
    chosen = tier_for(turn, at_least_s, tiers_s)
    floor = max(tiers_s[min(turn, len(tiers_s)) - 1], at_least_s)
    long_enough = [tier for tier in tiers_s if tier >= floor]
    assert chosen == (long_enough[0] if long_enough else tiers_s[-1])
