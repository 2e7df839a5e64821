"""Where does a notification stand? One shape for what Redis and Postgres know and for whoever asks."""

from datetime import datetime
from typing import Self

import msgspec

from pipeline.notifications import Channel, Lane
from pipeline.outcomes import FINAL_STATUSES, Outcome, Status
from pipeline.ports import Waiting


class NotificationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The latest known state of one notification, free of addresses.

    Until the first attempt has ended only the ledger knows the notification: ``template``, ``template_version`` and
    ``locale`` are null until then.
    """

    id: str
    event_id: str
    shipment_id: str
    channel: Channel
    recipient: str
    lane: Lane
    status: Status
    created_at: datetime
    reason: str | None = None
    provider: str | None = None
    provider_reference: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    template: str | None = None
    template_version: int | None = None
    locale: str | None = None
    finished_at: datetime | None = None
    replay_of: str | None = None

    @property
    def final(self) -> bool:
        return self.status in FINAL_STATUSES

    @classmethod
    def waiting(cls, waiting: Waiting) -> Self:
        notification = waiting.notification
        return cls(
            id=notification.id,
            event_id=notification.event_id,
            shipment_id=notification.shipment_id,
            channel=notification.channel,
            recipient=notification.recipient,
            lane=notification.lane,
            status=Status.SENDING,
            reason=waiting.problem,
            attempts=waiting.attempts,
            next_attempt_at=waiting.due_at,
            template=notification.template,
            template_version=notification.template_version,
            locale=notification.locale,
            created_at=notification.created_at,
            replay_of=notification.replay_of,
        )

    @classmethod
    def ended(cls, outcome: Outcome) -> Self:
        return cls(
            id=outcome.notification_id,
            **{name: getattr(outcome, name) for name in Outcome.__struct_fields__ if name in cls.__struct_fields__},
        )
