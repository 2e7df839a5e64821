"""When is a failed delivery tried again, and when is it given up?

- Never before the delay of its tier, nor before what the provider asked for.
- The n-th failed attempt waits in the n-th tier, from then on in the last; a longer Retry-After goes to the first tier
  that is as long, so that a tier stays about first-due-first.
- Throttling spends no attempt; the total time bounds it.
- Jitter only ever adds, and is small against the tier.
"""

import math
from dataclasses import dataclass

from pipeline.errors import DeliveryError, Throttled, Unconfirmed

DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """``attempts`` provider calls at most, within ``total_s`` of the notification's making."""

    tiers_s: tuple[float, ...]
    attempts: int
    total_s: float
    jitter: float


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Wait in this tier until ``due_ms``; ``attempts`` have been spent by then."""

    tier_s: float
    due_ms: int
    attempts: int
    error: str
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    attempts: int
    why: str


RetryDecision = RetryAt | GiveUp


def decide_retry(
    error: DeliveryError, *, attempts: int, created_ms: int, now_ms: int, policy: RetryPolicy, chance: float
) -> RetryDecision:
    """What follows a failed call; ``attempts`` were made before it, ``chance`` is a random number in [0, 1)."""
    spent = attempts if isinstance(error, Throttled) else attempts + 1
    if spent >= policy.attempts:
        return GiveUp(spent, f"after {spent} attempts: {error.problem}")
    asked_s = min(error.retry_after_s or 0.0, DAY_S)
    tier_s = tier_for(max(spent, 1), asked_s, policy.tiers_s)
    # No wait is above a day, jitter included: nobody accepts a due time further ahead.
    jittered_s = max(tier_s, min(tier_s * (1 + policy.jitter * chance), DAY_S))
    due_ms = now_ms + math.ceil(1000 * max(jittered_s, asked_s))
    if due_ms > created_ms + policy.total_s * 1000:
        return GiveUp(spent, f"no time left: {error.problem}")
    return RetryAt(tier_s, due_ms, spent, error.problem, isinstance(error, Unconfirmed))


def tier_for(turn: int, at_least_s: float, tiers_s: tuple[float, ...]) -> float:
    """The tier of the ``turn``-th wait (from 1), or the first one that is long enough."""
    by_turn = tiers_s[min(turn, len(tiers_s)) - 1]
    return next((tier for tier in tiers_s if tier >= max(by_turn, at_least_s)), tiers_s[-1])
