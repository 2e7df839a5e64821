"""Where does a dead letter go when it is replayed? Decided from its reason, its origin and its value.

reason `template`            its event to herald.status.v1: enrich tells those whose text could not be made
a replay of such an event    the same
cargo.status.v1              back to it, as it was
herald.status.v1             to cargo.status.v1, as it was: there it gets coordinates, and a line in the ledger, anew
cargo.subscriptions.v1       back to it, as it was
a lane, or a wait for one    to its lane as a new notification, with a line in the ledger
a wait for a subscription    to cargo.status.v1, as it was
outcomes, ledger             back to it, as it was: the sink stores nothing twice
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

import topics
from agents.turn import CONTENT_TYPE, encode, ledger_record, outcome_record
from pipeline import deadletters, dlq_marks, documents, events, strict_json
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.deadletters import DeadLetter
from pipeline.dlq_marks import NOTHING, Act, Histories, History, Mark
from pipeline.documents import ContentType
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.ledger import EventRecord
from pipeline.notifications import Notification
from pipeline.outcomes import Outcome
from pipeline.trail import Trail
from streaming.producer import Record

PUBLIC = frozenset({topics.STATUS, topics.SUBSCRIPTIONS})
RETRY_PREFIX = "herald.retry."

INPUT = {
    topics.STATUS: topics.STATUS,
    topics.STATUS_AGAIN: topics.STATUS,
    topics.SUBSCRIPTIONS: topics.SUBSCRIPTIONS,
}

ALREADY = "replayed already; --again does it once more"
IS_PARKED = "parked; --parked takes what is"
IS_NOT_PARKED = "not parked"
IN_DOUBT = "in doubt: ask the provider; --reason in-doubt or an ID takes it"
FORGOTTEN = "older than HERALD_SEEN_FOR_S: who has been told of its event is not known any more"
MAY_BE_TOLD = "may have been told already"
OVERWRITES = "overwrites what was published for its shipment since"

T = TypeVar("T")

_outcome = msgspec.json.Decoder(Outcome)
_entry = msgspec.json.Decoder(EventRecord)


class NotReplayable(Exception):
    """The message says why, for people."""


@dataclass(frozen=True, slots=True)
class Route:
    """``records`` makes, from the replay's number and the time, what is produced; ``note`` warns the operator."""

    target: str
    records: Callable[[int, datetime], list[Record]]
    note: str = ""

    @property
    def may_be_told(self) -> bool:
        return self.note == MAY_BE_TOLD


@dataclass(frozen=True, slots=True)
class Replay:
    """One subject's replay, the ``number``-th; ``letters`` are all of it that were selected, the oldest first."""

    letters: tuple[DeadLetter, ...]
    number: int
    route: Route

    def records(self, now: datetime) -> list[Record]:
        return self.route.records(self.number, now)

    def marker(self, by: str) -> Record:
        """Only for after `records` have been acknowledged."""
        return mark_record(self.letters[0], Act.REPLAYED, by, replay=self.number, target=self.route.target)


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays where it is."""

    letters: tuple[DeadLetter, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    replays: list[Replay]
    kept: list[Kept]


def make_plan(
    letters: Iterable[DeadLetter],
    done: Histories,
    *,
    again: bool,
    parked: bool = False,
    in_doubt: bool = False,
    seen_since_ms: int = 0,
) -> Plan:
    """In the order of ``letters``. What is parked is replayed only with ``parked``, and then nothing else; what died in
    doubt only with ``in_doubt``. Enrich remembers events ``seen_since_ms``.
    """
    plan = Plan([], [])
    for subject, same in by_subject(letters).items():
        history = done.get(subject, NOTHING)
        if why := _left_out(history, again=again, parked=parked):
            plan.kept.append(Kept(same, why))
            continue
        if not in_doubt and any(one.trail.reason == DeadLetterReason.IN_DOUBT for one in same):
            plan.kept.append(Kept(same, IN_DOUBT))
            continue
        if any(one.trail.reason == DeadLetterReason.TEMPLATE and one.record.at_ms < seen_since_ms for one in same):
            plan.kept.append(Kept(same, f"not replayable: {FORGOTTEN}"))
            continue
        try:
            plan.replays.append(Replay(same, history.replays + 1, route_of(same[0])))
        except NotReplayable as refusal:
            plan.kept.append(Kept(same, f"not replayable: {refusal}"))
    return plan


def _left_out(history: History, *, again: bool, parked: bool) -> str | None:
    if (history.parked is not None) is not parked:
        return IS_NOT_PARKED if parked else IS_PARKED
    return ALREADY if history.replays and not again else None


def by_subject(letters: Iterable[DeadLetter]) -> dict[str, tuple[DeadLetter, ...]]:
    subjects: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        subjects.setdefault(letter.subject, []).append(letter)
    return {subject: tuple(same) for subject, same in subjects.items()}


def mark_record(letter: DeadLetter, act: Act, by: str, *, why: str = "", replay: int = 0, target: str = "") -> Record:
    """Lies behind ``letter``, in its partition."""
    mark = Mark(act=act, dead_letter=letter.id, subject=letter.subject, by=by, why=why, replay=replay, target=target)
    return Record(topics.DLQ, letter.record.key, b"", dlq_marks.headers(mark), letter.record.partition)


def route_of(letter: DeadLetter) -> Route:
    """Raises NotReplayable."""
    origin = letter.trail.origin_topic
    if letter.trail.reason == DeadLetterReason.TEMPLATE or (origin == topics.DLQ and _is_event(letter.record.value)):
        event = _event_of(letter)
        return Route(topics.STATUS_AGAIN, lambda number, now: [_event_again(letter, event, number)])
    if origin in INPUT:
        return _as_it_was(letter, INPUT[origin], OVERWRITES if origin == topics.SUBSCRIPTIONS else "")
    if letter.notification_id is not None:
        return _told_again(letter)
    if origin == topics.OUTCOMES:
        outcome = _decoded(_outcome, letter)
        return Route(origin, lambda number, now: [outcome_record(outcome)])
    if origin == topics.LEDGER:
        entry = _decoded(_entry, letter)
        return Route(origin, lambda number, now: [ledger_record(entry, letter.record.key)])
    if origin.startswith(RETRY_PREFIX) and _is_event(letter.record.value):
        return _as_it_was(letter, topics.STATUS)
    raise NotReplayable("its value is no notification" if origin else "its origin is not known")


def _as_it_was(letter: DeadLetter, target: str, note: str = "") -> Route:
    kept = [(name, raw) for name, raw in letter.record.headers if name.lower() == CONTENT_TYPE]
    record = Record(target, letter.record.key, letter.record.value, [*kept])
    return Route(target, lambda number, now: [record], note)


def _event_of(letter: DeadLetter) -> StatusEvent:
    """The one of its document whose text could not be made."""
    found = documents.decode(letter.record.value, trails.header(letter.record.headers, CONTENT_TYPE))
    # What has been on its way here before is an event by itself, whatever its place in the document was.
    event = found[letter.trail.origin_index if len(found) > letter.trail.origin_index else 0]
    if isinstance(event, InvalidInput):
        raise NotReplayable(f"enrich would refuse it: {event}")
    return event


def _event_again(letter: DeadLetter, event: StatusEvent, number: int) -> Record:
    """Its coordinates are the dead letter's from now on."""
    trail = Trail(
        first_seen_ms=letter.trail.first_seen_ms,
        origin_topic=topics.DLQ,
        origin_partition=letter.record.partition,
        origin_offset=letter.record.offset,
        origin_index=number,
        replay=number,
    )
    headers = [(CONTENT_TYPE, ContentType.OWN.encode()), *trails.write(trail)]
    return Record(topics.STATUS_AGAIN, event.shipment_id.encode(), encode(event), headers)


def _told_again(letter: DeadLetter) -> Route:
    notification = deadletters.notification_of(letter.record.value)
    assert notification is not None, "a dead letter with a notification's id holds one"
    in_doubt = letter.trail.in_doubt or letter.trail.reason == DeadLetterReason.IN_DOUBT
    return Route(
        topics.lane(notification.channel, notification.lane),
        partial(_renewed, letter, notification),
        MAY_BE_TOLD if in_doubt else "",
    )


def _renewed(letter: DeadLetter, notification: Notification, number: int, now: datetime) -> list[Record]:
    told = deadletters.renew(notification, number, now)
    line = deadletters.ledger_line(told, letter, number, topics.DLQ)
    return [
        ledger_record(line, None),
        Record(
            topics.lane(told.channel, told.lane),
            told.recipient.encode(),
            encode(told),
            trails.write(Trail(replay=number)),
        ),
    ]


def _decoded(decoder: msgspec.json.Decoder[T], letter: DeadLetter) -> T:
    try:
        return strict_json.parse(decoder, letter.record.value or b"")
    except InvalidInput as refusal:
        raise NotReplayable(f"the sink would refuse it again: {refusal}") from refusal


def _is_event(value: bytes | None) -> bool:
    try:
        events.decode(value or b"")
    except InvalidInput:
        return False
    return True
