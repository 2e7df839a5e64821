"""What both sides of the benchmark are given: the same status events, for shipments that somebody waits for."""

import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

import msgspec

from pipeline.notifications import Channel
from pipeline.subscriptions import Recipient, Subscription

SHIPMENTS = 20_000
PEOPLE = 3
# So many events come of one ship, and have its time.
OF_A_SHIP = 50
FIRST_CALL = datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=3)))
URGENT = ("HOLD",)
STATUSES = ("LOAD", "DEPA", "ARRI", "DISC", "GTOT")

Keyed = tuple[bytes, bytes]

encode = msgspec.json.Encoder().encode


def shipment(number: int) -> str:
    return f"SHP{number:08d}"


def phone(number: int) -> str:
    return f"+7916{number:07d}"


def email(number: int) -> str:
    return f"c{number}@example.org"


def device(number: int) -> str:
    return uuid.UUID(int=number).hex


def status_events(
    seed: str, events: int, *, first: int = 0, shipments: int = SHIPMENTS, statuses: Sequence[str] = STATUSES
) -> Iterator[Keyed]:
    """Events in our own JSON, each of an id of its own, spread over so many shipments from the ``first`` on."""
    dice = random.Random(seed)
    for i in range(events):
        shipment_id = shipment(first + dice.randrange(shipments))
        at = FIRST_CALL + timedelta(minutes=i // OF_A_SHIP)
        event = {
            "event_id": str(uuid.UUID(int=dice.getrandbits(128))),
            "shipment_id": shipment_id,
            "status": statuses[i % len(statuses)],
            "classifier": "ACT",
            "occurred_at": at,
            "location": {"unlocode": "RUMOW", "name": "Moscow"},
            "carrier": "Example Lines",
            "estimated_arrival": at + timedelta(days=2),
            "references": [{"type": "BKG", "value": f"BKG{i:09d}"}, {"type": "EQ", "value": "MSCU1234567"}],
        }
        yield shipment_id.encode(), encode(event)


def three_phones(number: int) -> Subscription:
    """Three people with a phone: three notifications an event, all of them through the batch API."""
    people = tuple(
        Recipient(recipient_id=f"R{number:08d}-{one}", addresses={Channel.SMS: phone(PEOPLE * number + one)})
        for one in range(PEOPLE)
    )
    return Subscription(shipment_id=shipment(number), recipients=people)


def three_channels(number: int) -> Subscription:
    """One person with a phone, a mailbox and a device."""
    addresses = {Channel.SMS: phone(number), Channel.EMAIL: email(number), Channel.PUSH: device(number)}
    person = Recipient(recipient_id=f"R{number:08d}", addresses=addresses)
    return Subscription(shipment_id=shipment(number), recipients=(person,))


def mailing_list(number: int, people: int) -> Subscription:
    """Many people with a phone who wait for the same shipment."""
    recipients = tuple(
        Recipient(recipient_id=f"R{number:04d}-{one:04d}", addresses={Channel.SMS: phone(people * number + one)})
        for one in range(people)
    )
    return Subscription(shipment_id=shipment(number), recipients=recipients)
