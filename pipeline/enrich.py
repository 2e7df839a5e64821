"""What becomes of one status event?

    retracted                               `retracted`, nobody is told, also if the event itself comes later
    seen before, at no later revision       `repeated`
    no subscription, looks left             wait, and look again
    no subscription after the last look     `unsubscribed`
    subscribed, but nobody wants this       `silent`
    otherwise                               `accepted`: a notification for each recipient and channel

    a replay of its `template` dead letter  as if only those subscribed whose text could not be made

Looks are counted, not seconds, and the last one counts only when every subscription that has been published is known
here: after an outage both are read from a backlog, in no order between them.

A later revision of an event is told as a correction. The same record read again after a crash is no repeat: its row in
the table of seen events was written after its notifications were durable, so it is passed over.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Protocol

import msgspec

from pipeline.events import StatusEvent
from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import Channel, Notification, notification_id, replay_id
from pipeline.rendering import Rendered, TemplateError
from pipeline.routing import choose
from pipeline.subscriptions import Recipient, Subscription

# What is read again after a crash is of the last seconds.
REPLAYS = 8


class SeenRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The row of an event that has been dealt with, under its `StatusEvent.identity`.

    ``failed`` are the notifications whose text could not be made, by the ids that they were born with; ``replays`` are
    the last `REPLAYS` of their dead letters.
    """

    revision: datetime | None
    source: Source
    failed: tuple[str, ...] = ()
    replays: tuple[Source, ...] = ()


class Renderer(Protocol):
    def render(self, event: StatusEvent, recipient: Recipient, channel: Channel) -> Rendered: ...


@dataclass(frozen=True, kw_only=True)
class EnrichPolicy:
    """``waits`` is how often an event waits for its subscription; `waits_within` makes it of seconds."""

    expire_after_s: float
    waits: int


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A notification whose text could not be made: a technical failure, told to nobody."""

    notification: Notification
    error: TemplateError


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has come to its end in enrich; ``seen`` is None where a repeat may still be wanted."""

    record: EventRecord
    notifications: tuple[Notification, ...] = ()
    failed: tuple[Failed, ...] = ()
    seen: SeenRow | None = None


class Wait(msgspec.Struct, frozen=True):
    """The subscription may be on its way."""


class PassOver(msgspec.Struct, frozen=True):
    """The very same record has been dealt with before."""


EnrichDecision = Settled | Wait | PassOver

# For a backlog of subscriptions to be read.
MORE_WAITS = 5


def waits_within(grace_s: float, tiers_s: tuple[float, ...]) -> int:
    """How many waits fit into the grace: one in each tier, then in the last; at least one where there is any grace."""
    if grace_s <= 0:
        return 0
    ends = list(accumulate(tiers_s))
    in_turn = sum(end <= grace_s for end in ends)
    more = int((grace_s - ends[-1]) / tiers_s[-1]) if in_turn == len(ends) else 0
    return max(1, in_turn + more)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and what is known here when it is decided on.

    ``seen`` and ``subscription`` are rows of the tables; ``waited`` is how often the event has waited already.
    ``caught_up``: every subscription that has been published so far is in the table. ``first_seen_at`` goes with
    ``source``. ``replay`` counts from 1 where the event is replayed for a text that could not be made: ``source`` is
    its dead letter then.
    """

    event: StatusEvent
    source: Source
    seen: SeenRow | None
    subscription: Subscription | None
    waited: int
    caught_up: bool
    first_seen_at: datetime
    now: datetime
    replay: int = 0


def decide(case: Case, renderer: Renderer, policy: EnrichPolicy) -> EnrichDecision:
    event, seen = case.event, case.seen
    if seen is not None and case.source in (seen.source, *seen.replays):
        return PassOver()
    looks_left = case.waited < policy.waits + (0 if case.caught_up or not policy.waits else MORE_WAITS)
    if case.replay:
        if case.subscription is None and looks_left and seen is not None and seen.failed:
            return Wait()
        return _replayed(case, renderer, policy)
    if event.retracted:
        row = SeenRow(revision=event.revision, source=case.source)
        return Settled(record=_record(case, Disposition.RETRACTED), seen=row)
    if seen is not None and not _is_later(event.revision, seen.revision):
        return Settled(record=_record(case, Disposition.REPEATED))
    if case.subscription is None:
        if looks_left:
            return Wait()
        return Settled(record=_record(case, Disposition.UNSUBSCRIBED))
    return _tell(case, case.subscription, renderer, policy)


def _tell(case: Case, subscription: Subscription, renderer: Renderer, policy: EnrichPolicy) -> Settled:
    notifications, failed = _told(case, subscription, renderer, policy)
    everyone = (*notifications, *(one.notification for one in failed))
    if not everyone:
        return Settled(record=_record(case, Disposition.SILENT))
    return Settled(
        record=_record(case, Disposition.ACCEPTED, everyone),
        notifications=tuple(notifications),
        failed=tuple(failed),
        seen=SeenRow(
            revision=case.event.revision, source=case.source, failed=tuple(one.notification.id for one in failed)
        ),
    )


def _replayed(case: Case, renderer: Renderer, policy: EnrichPolicy) -> Settled:
    """Told to those alone whose text could not be made; the ledger's line is the replay's."""
    source, seen = case.source, case.seen

    def line(disposition: Disposition, *born: Notification) -> EventRecord:
        why = f"replay {case.replay} of the dead letter {source.partition}-{source.offset}"
        return msgspec.structs.replace(_record(case, disposition, born), status=None, reason=why)

    if seen is None:
        # Nobody knows any more who has been told, and told twice is worse.
        return Settled(record=line(Disposition.REPEATED))
    row = msgspec.structs.replace(seen, replays=(*seen.replays, source)[-REPLAYS:])
    if not seen.failed or seen.revision != case.event.revision:
        return Settled(record=line(Disposition.REPEATED), seen=row)
    if case.subscription is None:
        return Settled(record=line(Disposition.UNSUBSCRIBED), seen=row)
    notifications, failed = _told(case, case.subscription, renderer, policy, only=frozenset(seen.failed))
    everyone = (*notifications, *(one.notification for one in failed))
    if not everyone:
        return Settled(record=line(Disposition.SILENT), seen=row)
    told = {one.replay_of for one in notifications}
    return Settled(
        record=line(Disposition.ACCEPTED, *everyone),
        notifications=tuple(notifications),
        failed=tuple(failed),
        seen=msgspec.structs.replace(row, failed=tuple(id for id in seen.failed if id not in told)),
    )


def _told(
    case: Case, subscription: Subscription, renderer: Renderer, policy: EnrichPolicy, *, only: Set[str] | None = None
) -> tuple[list[Notification], list[Failed]]:
    """A notification for each recipient and channel; on a replay anew, for those whose first ids are ``only``."""
    event, source = case.event, case.source
    notifications: list[Notification] = []
    failed: list[Failed] = []
    key, expires_at = event.key, case.now + timedelta(seconds=policy.expire_after_s)
    for told in choose(event, subscription):
        id, replay_of = notification_id(key, told.recipient.recipient_id, told.channel), None
        if only is not None:
            if id not in only:
                continue
            # Not its number alone: what fails again leaves a dead letter of its own, whose replays begin at 1.
            id, replay_of = replay_id(id, f"{source.partition}-{source.offset}/{source.index}"), id
        error = None
        try:
            text = renderer.render(event, told.recipient, told.channel)
        except TemplateError as caught:
            error = caught
            text = Rendered(title="", body="", template=caught.template, template_version=0, locale="")
        notification = Notification(
            id=id,
            event_id=event.event_id,
            shipment_id=event.shipment_id,
            recipient=told.recipient.recipient_id,
            channel=told.channel,
            lane=told.lane,
            address=told.address,
            title=text.title,
            body=text.body,
            template=text.template,
            template_version=text.template_version,
            locale=text.locale,
            created_at=case.now,
            expires_at=expires_at,
            first_seen_at=case.first_seen_at,
            replay_of=replay_of,
        )
        if error is None:
            notifications.append(notification)
        else:
            failed.append(Failed(notification=notification, error=error))
    return notifications, failed


def refused(reason: str, source: Source, first_seen_at: datetime, now: datetime) -> EventRecord:
    """The ledger's line on input that is no event, or that a bug of ours kept from being decided on."""
    return EventRecord(
        event_id=None,
        shipment_id=None,
        status=None,
        disposition=Disposition.REFUSED,
        reason=reason,
        source=source,
        notifications=(),
        recorded_at=now,
        first_seen_at=first_seen_at,
    )


def _record(case: Case, disposition: Disposition, notifications: tuple[Notification, ...] = ()) -> EventRecord:
    event = case.event
    return EventRecord(
        event_id=event.event_id,
        shipment_id=event.shipment_id,
        status=event.status,
        disposition=disposition,
        reason=None,
        source=case.source,
        notifications=tuple(
            Born(id=one.id, channel=one.channel, recipient=one.recipient, lane=one.lane) for one in notifications
        ),
        recorded_at=case.now,
        first_seen_at=case.first_seen_at,
    )


def _is_later(revision: datetime | None, than: datetime | None) -> bool:
    return revision is not None and (than is None or revision > than)
