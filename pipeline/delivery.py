"""What follows a provider's answer about one notification: an outcome, another attempt, or a dead letter.

    answer        attempts left   then
    accepted      -               outcome `sent` (no provider here sends receipts)
    transient     yes             retry
    transient     no              outcome `temporary-failure` and a dead letter
    permanent     -               outcome `permanent-failure`
    unconfirmed   -               policy "give-up", and no key that lives: outcome `unconfirmed`
    unconfirmed   yes             policy "send-again", or a key that the provider still honours: retry
    unconfirmed   no              outcome `unconfirmed` and a dead letter

A notification older than its expiry is stale news: `expired`, unsent. Doubt stays: what an earlier attempt may have
told already ends as `unconfirmed` where it would have ended as `temporary-failure` or `expired`, which say "not told".
What can never be told was not told then either: `permanent-failure` stands.
"""

from dataclasses import dataclass, replace

import msgspec

from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import DeliveryError, PermanentError, Unconfirmed
from pipeline.notifications import Notification
from pipeline.outcomes import Outcome, Status, conclude
from pipeline.ports import Accepted, SendResult
from pipeline.retry import GiveUp, RetryAt, RetryPolicy, decide_retry
from pipeline.times import from_ms, to_ms
from pipeline.trail import Trail

_GIVEN_UP = {
    False: (Status.TEMPORARY_FAILURE, DeadLetterReason.RETRIES_EXHAUSTED),
    True: (Status.UNCONFIRMED, DeadLetterReason.IN_DOUBT),
}


@dataclass(frozen=True, kw_only=True)
class SendPolicy:
    """``send_again``: the channel would rather tell twice than not; ``key_lifetime_s`` as `ports.Provider` has it."""

    retry: RetryPolicy
    provider: str
    send_again: bool
    key_lifetime_s: float

    def may_send_again(self, notification: Notification, now_ms: int) -> bool:
        """What may have been told: no key is older than its notification, so a young one's is certainly honoured."""
        return self.send_again or now_ms - to_ms(notification.created_at) < 1_000 * self.key_lifetime_s


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of ``outcome`` and ``retry``; a dead letter only ever beside an outcome."""

    outcome: Outcome | None = None
    retry: RetryAt | None = None
    dead_letter: DeadLetterReason | None = None


def judge(
    result: SendResult, notification: Notification, trail: Trail, *, now_ms: int, policy: SendPolicy, chance: float
) -> Verdict:
    """The verdict on one answer; ``trail.attempts`` were made before this one."""
    if isinstance(result, Accepted):
        return Verdict(
            outcome=conclude(
                notification,
                Status.SENT,
                now_ms,
                attempts=trail.attempts + 1,
                provider=policy.provider,
                reference=result.reference,
            )
        )
    return _judge_failure(result, notification, trail, now_ms, policy, chance)


def _judge_failure(
    error: DeliveryError, notification: Notification, trail: Trail, now_ms: int, policy: SendPolicy, chance: float
) -> Verdict:
    if isinstance(error, PermanentError):
        return Verdict(
            outcome=_failed(error, Status.PERMANENT_FAILURE, notification, trail.attempts + 1, now_ms, policy)
        )
    if isinstance(error, Unconfirmed) and not policy.may_send_again(notification, now_ms):
        return Verdict(outcome=_failed(error, Status.UNCONFIRMED, notification, trail.attempts + 1, now_ms, policy))
    in_doubt = trail.in_doubt or isinstance(error, Unconfirmed)
    decision = decide_retry(
        error,
        attempts=trail.attempts,
        created_ms=to_ms(notification.created_at),
        now_ms=now_ms,
        policy=policy.retry,
        chance=chance,
    )
    if isinstance(decision, GiveUp):
        final, dead_letter = _GIVEN_UP[in_doubt]
        outcome = _failed(error, final, notification, decision.attempts, now_ms, policy, decision.why)
        return Verdict(outcome=outcome, dead_letter=dead_letter)
    return Verdict(retry=replace(decision, in_doubt=in_doubt))


def _failed(
    error: DeliveryError,
    status: Status,
    notification: Notification,
    attempts: int,
    now_ms: int,
    policy: SendPolicy,
    why: str | None = None,
) -> Outcome:
    reason = why or error.problem
    return conclude(
        notification,
        status,
        now_ms,
        attempts=attempts,
        provider=policy.provider,
        reason=f"{error.code}: {reason}" if error.code else reason,
    )


def before_sending(
    notification: Notification, trail: Trail, *, cut_short: bool, now_ms: int, policy: SendPolicy
) -> Outcome | None:
    """The outcome of a notification that must not be sent (any more), or None: send it.

    ``cut_short`` says that a worker that is gone had begun this attempt: whether its call reached the provider is not
    known, and if it is made again it is still the same attempt.
    """
    expired = from_ms(now_ms) > notification.expires_at
    if (cut_short or trail.in_doubt) and (expired or not policy.may_send_again(notification, now_ms)):
        return conclude(
            notification,
            Status.UNCONFIRMED,
            now_ms,
            attempts=trail.attempts + cut_short,
            provider=policy.provider,
            reason="the worker ended during the call" if cut_short else "too late to send it again",
        )
    if not expired:
        return None
    return conclude(
        notification,
        Status.EXPIRED,
        now_ms,
        attempts=trail.attempts,
        provider=trail.provider or None,
        reason=f"stale before it was sent again: {trail.error}" if trail.error else "stale before it was sent",
    )
