"""What do the tests publish? Events and subscriptions of our own JSON, each under names that no other test uses."""

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from pipeline.events import StatusEvent
from pipeline.notifications import Channel, notification_id
from pipeline.vocabulary import StatusCode

EVERY_CHANNEL = tuple(Channel)
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Person:
    """``sms``, ``email`` and ``push`` are what the provider's ledger has as ``to``."""

    id: str
    sms: str
    email: str
    push: str

    def address(self, channel: Channel) -> str:
        return str(getattr(self, channel))


def person() -> Person:
    number = next(_numbers)
    name = unique("person")
    return Person(name, f"+7999{number:07}", f"{name}@example.org", f"token-{name}")


@dataclass(frozen=True)
class Shipment:
    """A shipment and those who follow it, on some channels."""

    people: tuple[Person, ...] = field(default_factory=lambda: (person(),))
    channels: tuple[Channel, ...] = EVERY_CHANNEL
    id: str = field(default_factory=lambda: unique("shipment"))

    @property
    def key(self) -> bytes:
        return self.id.encode()

    def subscription(self) -> bytes:
        return msgspec.json.encode(
            {
                "shipment_id": self.id,
                "recipients": [
                    {
                        "recipient_id": one.id,
                        "addresses": {channel: one.address(channel) for channel in self.channels},
                    }
                    for one in self.people
                ],
            }
        )

    def event(self, status: StatusCode = StatusCode.GTIN, *, id: str | None = None) -> StatusEvent:
        return StatusEvent(
            event_id=id or unique("event"), shipment_id=self.id, status=status, occurred_at=datetime.now(UTC)
        )

    def ids(self, event: StatusEvent) -> dict[str, Channel]:
        """The notifications that an event must become: the channel of each by its id."""
        return {
            notification_id(event.key, one.id, channel): channel for one in self.people for channel in self.channels
        }


def followed_by(channel: Channel) -> Shipment:
    """A shipment that one person follows on one channel."""
    return Shipment(channels=(channel,))


def encode(event: StatusEvent) -> bytes:
    return msgspec.json.encode(event)
