"""How does a notification end?

Statuses go ``created → sending → sent → delivered``; each other status is final. A final status never changes, whatever
arrives late.
"""

from enum import StrEnum

import msgspec

from pipeline.notifications import UNDATED, Channel, Lane, Moment


class Status(StrEnum):
    """Where a notification stands; `FINAL_STATUSES` are where it can end."""

    CREATED = "created"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    PERMANENT_FAILURE = "permanent-failure"
    TEMPORARY_FAILURE = "temporary-failure"
    TECHNICAL_FAILURE = "technical-failure"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNCONFIRMED = "unconfirmed"


FINAL_STATUSES = frozenset(Status) - {Status.CREATED, Status.SENDING}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The final word on one notification: a record of ``herald.outcomes.v1``, a row of ``notification_outcome``.

    ``recipient`` is the subscriber's own id of the person, never an address. ``reason`` is for people and carries no
    address or body. ``first_seen_at`` is the notification's, and part of the row's key; ``replay_of`` names the
    dead-lettered notification that this one told again, whose outcome stands beside it.
    """

    notification_id: str
    event_id: str
    shipment_id: str
    channel: Channel
    recipient: str
    status: Status
    reason: str | None
    provider: str | None
    provider_reference: str | None
    attempts: int
    template: str
    template_version: int
    locale: str
    lane: Lane
    created_at: Moment
    finished_at: Moment
    first_seen_at: Moment = UNDATED
    replay_of: str | None = None
