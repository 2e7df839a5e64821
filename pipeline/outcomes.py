"""How does a notification end?

Statuses go ``created → sending → sent → delivered``; each other status is final. A final status never changes, whatever
arrives late.
"""

from enum import StrEnum

import msgspec

from pipeline.notifications import UNDATED, Channel, Lane, Moment, Notification
from pipeline.times import from_ms


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
    dead-lettered notification that this one told again.
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


def conclude(
    notification: Notification,
    status: Status,
    now_ms: int,
    *,
    attempts: int,
    provider: str | None = None,
    reference: str | None = None,
    reason: str | None = None,
) -> Outcome:
    return Outcome(
        notification_id=notification.id,
        event_id=notification.event_id,
        shipment_id=notification.shipment_id,
        channel=notification.channel,
        recipient=notification.recipient,
        status=status,
        reason=reason,
        provider=provider,
        provider_reference=reference,
        attempts=attempts,
        template=notification.template,
        template_version=notification.template_version,
        locale=notification.locale,
        lane=notification.lane,
        created_at=notification.created_at,
        finished_at=from_ms(now_ms),
        first_seen_at=notification.first_seen_at,
        replay_of=notification.replay_of,
    )
