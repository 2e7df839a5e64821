"""How is a record laid out as a row? Pure: records in, tuples in the order of the columns out."""

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.ledger import Born, EventRecord
from pipeline.outcomes import Outcome

Row = tuple[object, ...]

REPLACEMENT = "\ufffd"
NUL_IN_JSON = b"\\u0000"

_encode = msgspec.json.Encoder().encode


def outcome_rows(outcomes: Iterable[Outcome]) -> list[Row]:
    return list(map(msgspec.structs.astuple, outcomes))


def event_rows(events: Iterable[EventRecord]) -> list[Row]:
    return [_event_row(event) for event in events]


def storable(rows: Sequence[Row]) -> list[Row]:
    """Postgres takes every character but NUL: that one is replaced where a reader will see it (U+FFFD)."""
    return [tuple(map(_without_nul, row)) for row in rows]


def _event_row(event: EventRecord) -> Row:
    source = event.source
    return (
        source.topic,
        source.partition,
        source.offset,
        source.index,
        event.event_id,
        event.shipment_id,
        event.status,
        event.disposition,
        event.reason,
        _json(event.notifications),
        [one.id for one in event.notifications],
        event.recorded_at,
        event.first_seen_at,
    )


def _json(notifications: Sequence[Born]) -> str:
    text = _encode(notifications)
    if NUL_IN_JSON in text:
        # As an escape it would pass for text, and jsonb would refuse it.
        text = _encode([msgspec.structs.replace(one, recipient=_without_nul(one.recipient)) for one in notifications])
    return text.decode()


def _without_nul(value: object) -> object:
    return value.replace("\0", REPLACEMENT) if isinstance(value, str) and "\0" in value else value
