"""How is a record laid out as a row? Pure: records in, tuples in the order of the columns out."""

from collections.abc import Iterable

import msgspec

from pipeline.ledger import Born, EventRecord
from pipeline.outcomes import Outcome

REPLACEMENT = "\ufffd"


def storable(value: object) -> object:
    """Postgres takes every character but NUL: that one is replaced where a reader will see it (U+FFFD)."""
    return value.replace("\0", REPLACEMENT) if isinstance(value, str) and "\0" in value else value


def outcome_rows(outcomes: Iterable[Outcome]) -> list[tuple[object, ...]]:
    return [tuple(map(storable, msgspec.structs.astuple(outcome))) for outcome in outcomes]


def event_rows(events: Iterable[EventRecord]) -> list[tuple[object, ...]]:
    return [_event_row(event) for event in events]


def _event_row(event: EventRecord) -> tuple[object, ...]:
    source = event.source
    row = (
        source.topic,
        source.partition,
        source.offset,
        source.index,
        event.event_id,
        event.shipment_id,
        event.status,
        event.disposition,
        event.reason,
        msgspec.json.encode([_born(one) for one in event.notifications]).decode(),
        [one.id for one in event.notifications],
        event.recorded_at,
        event.first_seen_at,
    )
    return tuple(map(storable, row))


def _born(born: Born) -> Born:
    # In JSON text a NUL hides as an escape that jsonb refuses, so it is replaced before.
    return msgspec.structs.replace(born, recipient=storable(born.recipient)) if "\0" in born.recipient else born
