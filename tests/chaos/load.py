"""What does the feeder publish? Shipments, sound events that tell all their people, and documents to be refused.

Pure but for its dice: a seed gives one load, as long as subscriptions are acknowledged in the same order. Names begin
with a prefix; two loads under one prefix would repeat each other's events.
"""

import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.notifications import Channel
from pipeline.vocabulary import StatusCode
from simulators import broken, cargo
from tests.chaos.published import Kind
from tests.e2e.cargo import Person, Shipment, encode

# Each is told to everybody by default, and has a template.
BULK = (StatusCode.GTIN, StatusCode.LOAD, StatusCode.DEPA, StatusCode.ARRI, StatusCode.DISC, StatusCode.GTOT)
URGENT = (StatusCode.HOLD, StatusCode.CUSI)
EVENTS_A_SHIPMENT = len(BULK)
# An event is about one of so many shipments, those that were followed last.
ALIVE = 50
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class LoadPolicy:
    """``people`` follow each shipment, on each of ``channels``; ``poison`` and ``urgent`` are shares from 0 to 1."""

    prefix: str
    seed: int
    people: int
    channels: tuple[Channel, ...]
    poison: float
    urgent: float


@dataclass(frozen=True, kw_only=True)
class Document:
    """A record for the status topic; ``way`` is how it is broken, if it is."""

    kind: Kind
    id: str
    shipment: Shipment
    value: bytes | None
    content_type: str | None = None
    way: str = ""


class Load:
    def __init__(self, policy: LoadPolicy) -> None:
        self._policy = policy
        self._dice = random.Random(policy.seed)
        self._alive: deque[Shipment] = deque(maxlen=ALIVE)
        self._shipments = 0
        self._documents = 0

    @property
    def can_go_on(self) -> bool:
        return bool(self._alive)

    def new_shipment(self) -> Shipment:
        """One that nobody has heard of; give it to `follow` once its subscription is published."""
        self._shipments += 1
        id = f"{self._policy.prefix}-s{self._shipments}"
        people = tuple(self._person(f"{id}-p{number}") for number in range(1, self._policy.people + 1))
        return Shipment(people=people, channels=self._policy.channels, id=id)

    def _person(self, id: str) -> Person:
        phone = f"+7999{self._dice.randrange(10_000_000):07}"
        return Person(id, phone, f"{id}@example.org", f"token-{id}")

    def follow(self, shipment: Shipment) -> None:
        """From now on there are events of it, until `ALIVE` newer ones are followed."""
        self._alive.append(shipment)

    def next_document(self) -> Document:
        """Only when `can_go_on`."""
        self._documents += 1
        shipment = self._dice.choice(self._alive)
        if self._dice.random() < self._policy.poison:
            return self._poison(shipment)
        codes = URGENT if self._dice.random() < self._policy.urgent else BULK
        id = f"{self._policy.prefix}-e{self._documents}"
        event = shipment.event(self._dice.choice(codes), id=id)
        return Document(kind=Kind.EVENT, id=id, shipment=shipment, value=encode(event))

    def _poison(self, shipment: Shipment) -> Document:
        way = self._dice.choice(tuple(broken.BREAKAGES))
        travelling = cargo.shipment(self._dice, self._documents, LONG_AGO)
        # One of the breakages is made in the word for what has happened.
        happened = [one for one in cargo.journey(self._dice, travelling) if one.leg.classifier == "ACT"]
        sound = cargo.as_v2(self._dice.choice(happened))
        value, content_type = broken.BREAKAGES[way](self._dice, sound)
        id = f"{self._policy.prefix}-x{self._documents}"
        return Document(kind=Kind.POISON, id=id, shipment=shipment, value=value, content_type=content_type, way=way)
