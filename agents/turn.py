"""What does one turn of an agent send away? Records for several topics, built alike by every agent."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from observability.redaction import redact_text
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.events import ID_LENGTH
from pipeline.ledger import EventRecord, Source
from pipeline.outcomes import Outcome
from pipeline.trail import Trail
from streaming.producer import Headers, Record
from streaming.records import FetchedRecord
from topics import DLQ, LEDGER, OUTCOMES

CONTENT_TYPE = "content-type"
JSON_CONTENT = (CONTENT_TYPE, b"application/json")
SPEC_VERSION = ("ce_specversion", b"1.0")
CE_SOURCE = ("ce_source", b"/cargo-herald")
OUTCOME_TYPE = b"org.cargo-herald.notification.outcome.v1"
EVENT_TYPE = b"org.cargo-herald.event.recorded.v1"

MAX_BYTES = 15 << 20
# What a shipment's id may have: with a longer key, nothing that a publisher wrote could be set aside.
MAX_KEY_BYTES = 4 * ID_LENGTH

# A turn is kept in parts of about so many records, for one event may have a thousand recipients, and one document a
# thousand events: all of them neither fit into a worker, nor should they be made again after a crash. What enrich may
# have made twice, send recognises.
RECORDS_AT_ONCE = 5_000

encode = msgspec.json.Encoder().encode


def outcome_record(outcome: Outcome) -> Record:
    """A record of ``herald.outcomes.v1``: JSON, CloudEvents 1.0 in binary mode."""
    key = outcome.notification_id.encode()
    return Record(
        OUTCOMES,
        key,
        encode(outcome),
        _cloud_event(OUTCOME_TYPE, key, _stamp(outcome.finished_at), outcome.shipment_id.encode()),
    )


def ledger_record(record: EventRecord, key: bytes | None) -> Record:
    """A record of ``herald.ledger.v1``; its CloudEvents id is the event's coordinates."""
    source = record.source
    identity = f"{source.topic}/{source.partition}/{source.offset}/{source.index}".encode()
    subject = (record.shipment_id or "").encode()
    return Record(
        LEDGER,
        subject or _bounded(key),
        encode(record),
        _cloud_event(EVENT_TYPE, identity, _stamp(record.recorded_at), subject),
    )


@lru_cache(maxsize=1_024)
def _stamp(at: datetime) -> bytes:
    """RFC 3339; a turn or a call has one time for all that it ends."""
    return at.isoformat().encode()


def _cloud_event(kind: bytes, identity: bytes, time: bytes, subject: bytes) -> Headers:
    headers: Headers = [
        SPEC_VERSION,
        ("ce_type", kind),
        CE_SOURCE,
        ("ce_id", identity),
        ("ce_time", time),
        JSON_CONTENT,
    ]
    if subject:  # CloudEvents allows no empty one
        headers.append(("ce_subject", subject))
    return headers


def dead_letter(
    key: bytes | None,
    value: bytes | None,
    trail: Trail,
    reason: DeadLetterReason,
    error: str,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> Record:
    """The original bytes, with their history; of the original headers only the content type is kept.

    What was compressed on its way in may be larger than Kafka takes: then its beginning is kept, and the error says so.
    So it does where a key is longer than any of ours, and left out.
    """
    if key is not None and _bounded(key) is None:
        error = f"without its key of {len(key)} bytes; {error}"
        key = None
    if value is not None and len(value) > MAX_BYTES:
        value, error = value[:MAX_BYTES], f"cut from {len(value)} bytes; {error}"
    # What is quoted of the input may be somebody's address.
    told = msgspec.structs.replace(trail, reason=reason.value, error=redact_text(error), due_ms=0, target="")
    kept = [(name, raw) for name, raw in headers if name.lower() == CONTENT_TYPE and raw and len(raw) <= 256][:1]
    return Record(DLQ, key, value, [*trails.write(told), *kept])


def _bounded(key: bytes | None) -> bytes | None:
    return key if key is None or len(key) <= MAX_KEY_BYTES else None


def set_aside(record: FetchedRecord, reason: DeadLetterReason, error: str) -> Record:
    """The dead letter of a record whose own history, if it has any, is not to be believed."""
    at = first_seen(trails.DEFAULTS, record)
    return dead_letter(record.key, record.value, at, reason, error, record.headers)


def first_seen(trail: Trail, record: FetchedRecord) -> Trail:
    """The trail with its first coordinates: those that it has, or the record's."""
    if trail.origin_topic:
        return trail
    return msgspec.structs.replace(
        trail,
        # Kafka's word for "none" is -1.
        first_seen_ms=max(record.timestamp, 0),
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
    )


def source_of(trail: Trail) -> Source:
    return Source(
        topic=trail.origin_topic,
        partition=trail.origin_partition,
        offset=trail.origin_offset,
        index=trail.origin_index,
    )
