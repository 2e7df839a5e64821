"""What lies in ``herald.dlq.v1``, and which of it is meant?

Each record there is one of two:

    dead letter   the original key and bytes, their `Trail` and content type in the headers
    mark          no bytes; its headers say what was done with a dead letter (`pipeline.dlq_marks`)

Nothing in the topic ever changes: a dead letter's state is what the marks say of its subject.

Dead letters of one subject are one thing that died several times over: a crash repeats a dead letter, and a document
with two broken events leaves two. One replay does for all of them.

    dead letter of     subject
    a notification     the notification's id
    a template         its event: the first coordinates and the bytes, and its place in the document
    anything else      its first coordinates and its bytes: the same bytes published again are another thing
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

import msgspec

from pipeline import dlq_marks, dlq_search, strict_json
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.dlq_marks import Mark
from pipeline.errors import InvalidInput
from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import Channel, Notification, replay_id
from pipeline.trail import Trail

_notification = msgspec.json.Decoder(Notification)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A record of the DLQ as Kafka has it; ``at_ms`` is when it got there."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A dead letter, without what it holds."""

    partition: int
    offset: int
    at_ms: int
    subject: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """``notification_id`` and ``channel`` are None for anything else; ``record.value`` may have been left out."""

    record: Stored
    trail: Trail
    notification_id: str | None
    channel: Channel | None
    subject: str
    size: int

    @property
    def id(self) -> str:
        """What people call it by."""
        return f"{self.record.partition}-{self.record.offset}"

    @property
    def place(self) -> Place:
        return Place(
            partition=self.record.partition,
            offset=self.record.offset,
            at_ms=self.record.at_ms,
            subject=self.subject,
            reason=self.trail.reason,
        )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What an operator asks for: dead letters that fit everything given, ``since`` ≤ time < ``until``."""

    ids: Set[str] = frozenset()
    reason: str | None = None
    origin_topic: str = ""
    channel: Channel | None = None
    since_ms: int = 0
    until_ms: int | None = None
    error: str = ""
    shipment: str = ""
    event: str = ""
    recipient: str = ""

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    def matches(self, letter: DeadLetter) -> bool:
        """``origin_topic`` is a prefix, ``error`` a part in any case; the value must not have been left out."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.reason in (None, letter.trail.reason)
            and letter.trail.origin_topic.startswith(self.origin_topic)
            and self.channel in (None, letter.channel)
            and letter.record.at_ms >= self.since_ms
            and (self.until_ms is None or letter.record.at_ms < self.until_ms)
            and self.error.casefold() in letter.trail.error.casefold()
            and self._names(letter)
        )

    def _names(self, letter: DeadLetter) -> bool:
        """Last of all: it takes the value apart."""
        if not (self.shipment or self.event or self.recipient):
            return True
        named = dlq_search.names(letter.record.value, letter.record.key)
        return (
            (not self.shipment or self.shipment in named.shipments)
            and (not self.event or self.event in named.events)
            and (not self.recipient or self.recipient in named.recipients)
        )


def read(record: Stored, public: Set[str]) -> DeadLetter | Mark:
    """Never raises: a trail that cannot be read becomes the dead letter's error, and its origin is not known.

    ``public`` are the topics that anybody may write to: what came from them is never taken for a notification, or a
    stranger could have one sent by getting it refused.
    """
    try:
        trail = trails.read(record.headers, record.at_ms)
    except InvalidInput as refusal:
        trail = Trail(error=str(refusal))
    mark = dlq_marks.read(record.headers, trail, record.partition, record.offset, record.at_ms)
    if mark is not None:
        return mark
    told = None if not trail.origin_topic or trail.origin_topic in public else notification_of(record.value)
    return DeadLetter(
        record=record,
        trail=trail,
        notification_id=told.id if told else None,
        channel=told.channel if told else None,
        subject=_subject(trail, record.value, told),
        size=len(record.value or b""),
    )


def notification_of(value: bytes | None) -> Notification | None:
    try:
        return strict_json.parse(_notification, value or b"")
    except InvalidInput:
        return None


def _subject(trail: Trail, value: bytes | None, told: Notification | None) -> str:
    if told:
        return f"notification {told.id}"
    digest = hashlib.blake2b(value or b"", digest_size=16).hexdigest()
    place = f"{trail.origin_topic}/{trail.origin_partition}/{trail.origin_offset}"
    if trail.reason == DeadLetterReason.TEMPLATE:
        place += f"/{trail.origin_index} text"
    return f"{place} {digest}"


def renew(notification: Notification, replay: int, now: datetime) -> Notification:
    """The notification told again: a new id, for the final status of the old one never changes, and as long to live.

    It keeps the time at which its event was first seen.
    """
    return msgspec.structs.replace(
        notification,
        id=replay_id(notification.id, replay),
        replay_of=notification.id,
        created_at=now,
        expires_at=now + (notification.expires_at - notification.created_at),
    )


def ledger_line(renewed: Notification, letter: DeadLetter, replay: int, topic: str) -> EventRecord:
    """What makes a replayed notification part of the account; it is born of the dead letter in ``topic``."""
    return EventRecord(
        event_id=renewed.event_id,
        shipment_id=renewed.shipment_id,
        status=None,
        disposition=Disposition.ACCEPTED,
        reason=f"replay {replay} of the dead letter {letter.id}",
        source=Source(topic=topic, partition=letter.record.partition, offset=letter.record.offset, index=replay),
        notifications=(Born(id=renewed.id, channel=renewed.channel, recipient=renewed.recipient, lane=renewed.lane),),
        recorded_at=renewed.created_at,
        first_seen_at=renewed.first_seen_at,
    )
