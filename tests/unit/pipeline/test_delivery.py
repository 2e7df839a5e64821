"""What an answer comes to: the whole truth table, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.delivery import SendPolicy, Verdict, before_sending, judge
from pipeline.errors import PermanentError, Throttled, TransientError, Unconfirmed
from pipeline.outcomes import FINAL_STATUSES, Status, conclude
from pipeline.ports import Accepted, SendResult
from pipeline.retry import RetryPolicy
from pipeline.times import from_ms, to_ms
from pipeline.trail import Trail
from tests.fakes import T0, T0_MS, notification

RETRY = RetryPolicy(tiers_s=(30.0, 120.0), attempts=3, total_s=3_600.0, jitter=0.0)
GIVE_UP = SendPolicy(retry=RETRY, provider="fake", send_again=False, key_lifetime_s=0.0)
SEND_AGAIN = SendPolicy(retry=RETRY, provider="fake", send_again=True, key_lifetime_s=0.0)

FRESH = Trail()
LAST = Trail(attempts=2)
DOUBTED = Trail(attempts=1, in_doubt=True)
DOUBTED_LAST = Trail(attempts=2, in_doubt=True)

BUSY = TransientError("busy", code="503")
SLOW = Throttled("slow down", code="429")
GONE = PermanentError("no such number", code="21211")
LOST = Unconfirmed("no answer")

WAITS = "waits"
TEMPORARY = (Status.TEMPORARY_FAILURE, DeadLetterReason.RETRIES_EXHAUSTED)
IN_DOUBT = (Status.UNCONFIRMED, DeadLetterReason.IN_DOUBT)


def judged(result: SendResult, trail: Trail, policy: SendPolicy, *, age_s: float = 0.0) -> Verdict:
    now_ms = T0_MS + round(age_s * 1000)
    return judge(result, notification(), trail, now_ms=now_ms, policy=policy, chance=0.0)


@pytest.mark.parametrize(
    ("result", "trail", "policy", "becomes", "attempts"),
    [
        pytest.param(Accepted("r"), FRESH, GIVE_UP, (Status.SENT, None), 1, id="accepted at once"),
        pytest.param(Accepted("r"), LAST, GIVE_UP, (Status.SENT, None), 3, id="accepted at last"),
        pytest.param(Accepted("r"), DOUBTED, SEND_AGAIN, (Status.SENT, None), 2, id="acceptance ends all doubt"),
        pytest.param(BUSY, FRESH, GIVE_UP, WAITS, 1, id="certainly not told: again, whatever the policy on doubt"),
        pytest.param(BUSY, LAST, GIVE_UP, TEMPORARY, 3, id="certainly not told, attempts spent"),
        pytest.param(BUSY, DOUBTED, SEND_AGAIN, WAITS, 2, id="not told this time, perhaps before: again"),
        pytest.param(BUSY, DOUBTED_LAST, SEND_AGAIN, IN_DOUBT, 3, id="not told at last, but perhaps before"),
        pytest.param(SLOW, FRESH, GIVE_UP, WAITS, 0, id="throttled: an attempt is not spent"),
        pytest.param(SLOW, LAST, GIVE_UP, WAITS, 2, id="throttled on the last attempt: still there"),
        pytest.param(GONE, FRESH, GIVE_UP, (Status.PERMANENT_FAILURE, None), 1, id="never will be: final at once"),
        pytest.param(GONE, DOUBTED, SEND_AGAIN, (Status.PERMANENT_FAILURE, None), 2, id="never was, then"),
        pytest.param(LOST, FRESH, GIVE_UP, (Status.UNCONFIRMED, None), 1, id="perhaps told, rather not twice"),
        pytest.param(LOST, FRESH, SEND_AGAIN, WAITS, 1, id="perhaps told, rather twice than not"),
        pytest.param(LOST, LAST, SEND_AGAIN, IN_DOUBT, 3, id="perhaps told, attempts spent"),
    ],
)
def test_verdicts(result: SendResult, trail: Trail, policy: SendPolicy, becomes: object, attempts: int) -> None:
    verdict = judged(result, trail, policy)
    if becomes is WAITS:
        assert verdict.retry is not None
        assert (verdict.outcome, verdict.dead_letter, verdict.retry.attempts) == (None, None, attempts)
    else:
        assert verdict.outcome is not None
        assert (verdict.outcome.status, verdict.dead_letter) == becomes
        assert (verdict.retry, verdict.outcome.attempts) == (None, attempts)


@pytest.mark.parametrize(
    ("result", "becomes"),
    [(BUSY, TEMPORARY), (SLOW, TEMPORARY), (LOST, IN_DOUBT)],
    ids=["busy for too long", "throttled for too long", "in doubt for too long"],
)
def test_time_runs_out(result: SendResult, becomes: object) -> None:
    verdict = judged(result, FRESH, SEND_AGAIN, age_s=3_600)
    assert verdict.outcome is not None
    assert (verdict.outcome.status, verdict.dead_letter) == becomes


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [(BUSY, False, False), (BUSY, True, True), (SLOW, True, True), (LOST, False, True), (LOST, True, True)],
)
def test_doubt_once_raised_travels_with_the_record(error: SendResult, before: bool, after: bool) -> None:
    verdict = judged(error, Trail(in_doubt=before), SEND_AGAIN)
    assert verdict.retry is not None
    assert verdict.retry.in_doubt is after


def test_an_outcome_says_whose_it_is_and_why() -> None:
    outcome = judged(BUSY, LAST, GIVE_UP).outcome
    assert outcome is not None
    told = notification()
    assert (outcome.notification_id, outcome.event_id, outcome.recipient) == (told.id, told.event_id, told.recipient)
    assert (outcome.created_at, outcome.finished_at, outcome.first_seen_at) == (T0, T0, told.first_seen_at)
    assert outcome.reason == "503: after 3 attempts: busy"
    assert outcome.provider == "fake"


def test_the_outcome_of_a_replay_names_what_it_told_again() -> None:
    ended = [
        conclude(notification(replay_of=of), Status.SENT, T0_MS, attempts=1).replay_of for of in (None, "what had died")
    ]
    assert ended == [None, "what had died"]


def test_an_acceptance_keeps_the_providers_reference() -> None:
    outcome = judged(Accepted("SM123"), FRESH, GIVE_UP).outcome
    assert outcome is not None
    assert (outcome.provider_reference, outcome.reason) == ("SM123", None)


results = st.one_of(
    st.builds(Accepted, st.text(max_size=9)),
    st.builds(
        lambda kind, asked: kind("x", retry_after_s=asked),
        st.sampled_from([TransientError, Throttled, PermanentError, Unconfirmed]),
        st.one_of(st.none(), st.floats()),
    ),
)


@given(results, st.builds(Trail, attempts=st.integers(0, 9), in_doubt=st.booleans()), st.booleans(), st.integers(0, 9))
def test_a_verdict_is_one_outcome_or_one_retry(result: SendResult, trail: Trail, resend: bool, hours: int) -> None:
    verdict = judged(result, trail, SEND_AGAIN if resend else GIVE_UP, age_s=hours * 900)
    assert (verdict.outcome is None) != (verdict.retry is None)
    assert verdict.dead_letter is None or verdict.outcome is not None
    if verdict.outcome is not None:
        assert verdict.outcome.status in FINAL_STATUSES
        assert verdict.outcome.status is not Status.TEMPORARY_FAILURE or not trail.in_doubt


STALE_MS = T0_MS + 86_400_001


@pytest.mark.parametrize(
    ("cut_short", "trail", "now_ms", "policy", "ends"),
    [
        pytest.param(False, FRESH, T0_MS, GIVE_UP, None, id="the usual: send"),
        pytest.param(False, FRESH, STALE_MS - 1, GIVE_UP, None, id="in its last moment: send"),
        pytest.param(False, FRESH, STALE_MS, GIVE_UP, (Status.EXPIRED, 0), id="stale, never tried"),
        pytest.param(False, LAST, STALE_MS, GIVE_UP, (Status.EXPIRED, 2), id="stale, tried, certainly not told"),
        pytest.param(False, DOUBTED, STALE_MS, SEND_AGAIN, (Status.UNCONFIRMED, 1), id="stale, perhaps told before"),
        pytest.param(True, FRESH, T0_MS, GIVE_UP, (Status.UNCONFIRMED, 1), id="in doubt: rather not twice"),
        pytest.param(True, LAST, T0_MS, GIVE_UP, (Status.UNCONFIRMED, 3), id="the call cut short counts"),
        pytest.param(True, FRESH, T0_MS, SEND_AGAIN, None, id="in doubt: rather twice than not"),
        pytest.param(True, FRESH, STALE_MS, SEND_AGAIN, (Status.UNCONFIRMED, 1), id="in doubt and stale: not unsent"),
        pytest.param(True, FRESH, STALE_MS, GIVE_UP, (Status.UNCONFIRMED, 1), id="doubt goes before staleness"),
    ],
)
def test_before_sending(cut_short: bool, trail: Trail, now_ms: int, policy: SendPolicy, ends: object) -> None:
    outcome = before_sending(notification(), trail, cut_short=cut_short, now_ms=now_ms, policy=policy)
    assert (None if outcome is None else (outcome.status, outcome.attempts)) == ends


def test_what_was_never_told_to_a_provider_names_none() -> None:
    outcome = before_sending(notification(), FRESH, cut_short=False, now_ms=STALE_MS, policy=GIVE_UP)
    assert outcome is not None
    assert (outcome.provider, outcome.provider_reference) == (None, None)


def test_what_expires_after_attempts_says_who_put_it_off_and_why() -> None:
    been = Trail(attempts=3, provider="http-sms", error="503: busy")
    outcome = before_sending(notification(), been, cut_short=False, now_ms=STALE_MS, policy=GIVE_UP)
    assert outcome is not None
    assert (outcome.status, outcome.attempts, outcome.provider) == (Status.EXPIRED, 3, "http-sms")
    assert outcome.reason == "stale before it was sent again: 503: busy"


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_are_exact(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
