"""What became of each status event: the value of ``herald.ledger.v1``, from which every account is drawn."""

from enum import StrEnum

import msgspec

from pipeline.notifications import UNDATED, Channel, Lane, Moment


class Disposition(StrEnum):
    """How an event left enrich; an event has one for each time it was published."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"
    UNSUBSCRIBED = "unsubscribed"
    SILENT = "silent"
    RETRACTED = "retracted"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The first coordinates of an event; ``index`` counts the events of one document from 0."""

    topic: str
    partition: int
    offset: int
    index: int = 0


class Born(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as the ledger knows it: enough to ask for its outcome, nothing personal."""

    id: str
    channel: Channel
    recipient: str
    lane: Lane


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``event_id``, ``shipment_id`` and ``status`` are null for what was refused: its dead letter holds it.

    ``reason`` says why it was refused, or which replay of which dead letter this is. ``first_seen_at`` is Kafka's own
    time of the record at ``source``; that of a replay is its notification's.
    """

    event_id: str | None
    shipment_id: str | None
    status: str | None
    disposition: Disposition
    reason: str | None
    source: Source
    notifications: tuple[Born, ...]
    recorded_at: Moment
    first_seen_at: Moment = UNDATED
