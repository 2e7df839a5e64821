"""What is one notification, and what is it called?

A notification is one event told to one recipient on one channel. Its id is a name-based UUID (RFC 9562, version 5) of
exactly that, so that a repeat, wherever it comes from, has the same id.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

NAMESPACE = uuid.UUID("6f0a3c5e-2f0b-5d38-9a57-3f1d6f3c8a10")
SEPARATOR = "\x1f"

_NAMESPACE_BYTES = NAMESPACE.bytes
_VARIANT = {digit: f"{int(digit, 16) & 0b0011 | 0b1000:x}" for digit in "0123456789abcdef"}

Moment = Annotated[datetime, Meta(tz=True)]
"""A time without an offset is refused: it could be neither compared nor stored."""

UNDATED = datetime.fromtimestamp(0, UTC)
"""What stands for a time that Kafka did not know, and for one that was not yet written down."""


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"
    PUSH = "push"


class Lane(StrEnum):
    URGENT = "urgent"
    BULK = "bulk"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a lane (``herald.<channel>.<lane>.v1``), ready to be sent as it stands.

    ``address`` is a phone number in E.164, an email address or a device token. ``title`` is an email's subject or a
    push message's title; an SMS has none. ``replay_of`` names the dead-lettered notification that this one tells again.
    ``first_seen_at`` is Kafka's own time of the event, the same however often it is read; a replay keeps it.
    """

    id: str
    event_id: str
    shipment_id: str
    recipient: str
    channel: Channel
    lane: Lane
    address: str
    title: str
    body: str
    template: str
    template_version: int
    locale: str
    created_at: Moment
    expires_at: Moment
    first_seen_at: Moment = UNDATED
    replay_of: str | None = None


def notification_id(event_key: str, recipient: str, channel: Channel) -> str:
    """The same event (as its `StatusEvent.key` has it), recipient and channel always give the same id."""
    return _name_based(event_key, recipient, channel)


def replay_id(dead_letter_id: str, replay: int | str) -> str:
    """The id of a dead-lettered notification as it is told again: final statuses never change.

    ``replay`` counts from 1, or names the replay among all that there may be.
    """
    return _name_based(dead_letter_id, "replay", str(replay))


def _name_based(*parts: str) -> str:
    """As `uuid.uuid5` makes it, at a fifth of its cost: there is one for every notification."""
    digest = hashlib.sha1(_NAMESPACE_BYTES + SEPARATOR.join(parts).encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"
