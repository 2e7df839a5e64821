"""What is a lane's record to a send role, and which records does the verdict on it become?"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

import topics
from agents.turn import dead_letter, first_seen, outcome_record, set_aside
from pipeline import strict_json
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.delivery import Verdict
from pipeline.errors import InvalidInput
from pipeline.notifications import Notification
from pipeline.outcomes import Outcome, Status, conclude
from pipeline.retry import RetryAt
from pipeline.trail import Trail
from streaming.inflight import Fetch
from streaming.producer import Record
from streaming.records import FetchedRecord

notification_of = msgspec.json.Decoder(Notification)


class Sending(msgspec.Struct, frozen=True):
    """A notification on its way through this worker; ``record`` keeps its bytes for a retry or a dead letter.

    ``cut_short``: a worker that is gone had claimed it, and whether its call reached the provider is not known; what
    becomes of that is not decided yet.
    """

    notification: Notification
    trail: Trail
    record: FetchedRecord
    fetch: Fetch
    cut_short: bool = False

    def doubted(self) -> "Sending":
        """As a worker that is gone has left it behind."""
        return msgspec.structs.replace(self, trail=msgspec.structs.replace(self.trail, in_doubt=True), cut_short=True)


@dataclass(frozen=True, slots=True)
class Unsendable:
    """What a record leaves behind that cannot be sent: a dead letter, and its outcome where it is a notification."""

    records: list[Record]
    outcome: Outcome | None = None


def read(record: FetchedRecord, fetch: Fetch, now_ms: int) -> Sending | Unsendable:
    """``record`` is a lane's."""
    try:
        notification = strict_json.parse(notification_of, record.value or b"")
    except InvalidInput as refusal:
        return Unsendable([set_aside(record, DeadLetterReason.INVALID_INPUT, str(refusal))])
    try:
        return Sending(notification, trails.read(record.headers, now_ms), record, fetch)
    except InvalidInput as refusal:
        outcome = conclude(notification, Status.TECHNICAL_FAILURE, now_ms, attempts=0, reason=str(refusal))
        return Unsendable(
            [outcome_record(outcome), set_aside(record, DeadLetterReason.INVALID_INPUT, str(refusal))], outcome
        )


def attempt_of(record: FetchedRecord) -> tuple[str, Trail] | None:
    """Which notification the record is an attempt of, and what came before; None if it is none."""
    try:
        return strict_json.parse(notification_of, record.value or b"").id, trails.read(record.headers, record.timestamp)
    except InvalidInput:
        return None


def records_of(judged: Iterable[tuple[Sending, Verdict]], provider: str) -> list[Record]:
    """The outcomes, waits and dead letters that the verdicts call for."""
    records: list[Record] = []
    for one, verdict in judged:
        if verdict.retry is not None:
            records.append(_wait(one, verdict.retry, provider))
            continue
        outcome = verdict.outcome
        assert outcome is not None, "a verdict without a retry is final"
        records.append(outcome_record(outcome))
        if verdict.dead_letter is not None:
            ended = msgspec.structs.replace(
                first_seen(one.trail, one.record), attempts=outcome.attempts, provider=provider
            )
            key, value = one.record.key, one.record.value
            records.append(dead_letter(key, value, ended, verdict.dead_letter, outcome.reason or ""))
    return records


def _wait(one: Sending, retry: RetryAt, provider: str) -> Record:
    record = one.record
    waiting = msgspec.structs.replace(
        first_seen(one.trail, one.record),
        attempts=retry.attempts,
        due_ms=retry.due_ms,
        target=record.topic,
        provider=provider,
        error=retry.error,
        in_doubt=retry.in_doubt,
    )
    return Record(topics.retry(retry.tier_s), record.key, record.value, trails.write(waiting))
