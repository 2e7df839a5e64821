"""What flows into the demo? Seeded journeys of many shipments, and what a sound pipeline must make of them.

Most of it is good news in DCSA 2.2 and 3.0. Among it are repeats, late arrivals, corrections, withdrawals and broken
records of every kind, shipments that nobody follows, and subscriptions that come a moment after their first event. The
account in `Expectation` is counted while the feed is made, without the pipeline's own code, so that one can check the
other.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from simulators import broken, cargo, people

V3 = "application/vnd.dcsa.tnt.v3.0+json"
SUBSCRIPTION = "application/json"
NOT_TOLD_BY_DEFAULT = frozenset({"DRFT"})
LATE_SUBSCRIPTION_S = 0.8


class TopicKind(StrEnum):
    STATUS = "status"
    SUBSCRIPTIONS = "subscriptions"


class FeedRecord(NamedTuple):
    """``at_offset_s`` is when to publish it, counted from the feed's start; ``key`` is the shipment."""

    topic_kind: TopicKind
    key: bytes
    value: bytes | None
    content_type: str | None
    at_offset_s: float


@dataclass
class Expectation:
    """``documents`` were published on the status topic; each of their ``events`` has one disposition.

    ``refused`` counts by the kind of breakage; a record that cannot be taken apart counts as one event.
    """

    subscriptions: int = 0
    documents: int = 0
    accepted: int = 0
    repeated: int = 0
    unsubscribed: int = 0
    silent: int = 0
    retracted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    notifications: int = 0

    @property
    def events(self) -> int:
        told = self.accepted + self.repeated + self.unsubscribed + self.silent + self.retracted
        return told + self.refused.total()


class Feed(NamedTuple):
    records: list[FeedRecord]
    expectation: Expectation


def journeys(seed: int, shipments: int, start: datetime, span_s: float = 30.0) -> Feed:
    """The same arguments always give the same feed; ``start`` is when the first shipment was booked.

    Records are in the order of ``at_offset_s``, all of them within ``span_s``.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation
    expectation = Expectation()
    records: list[FeedRecord] = []
    for number in range(1, shipments + 1):
        records += _Teller(rng, cargo.shipment(rng, number, start), expectation, span_s).tell(number)
    return Feed(sorted(records, key=lambda record: record.at_offset_s), expectation)


class _Teller:
    """One shipment's part of the feed."""

    def __init__(self, rng: random.Random, shipment: cargo.Shipment, expectation: Expectation, span_s: float) -> None:
        self._rng = rng
        self._shipment = shipment
        self._expectation = expectation
        self._begin_s = rng.uniform(0.05, 0.4) * span_s
        self._end_s = span_s
        self._key = shipment.booking.encode()
        self._is_v3 = rng.random() < 0.5
        self._words = rng.random() < 0.5
        self._people: list[people.Json] = []
        self._records: list[FeedRecord] = []

    def tell(self, number: int) -> list[FeedRecord]:
        followed = number % 20 != 0
        late = number % 15 == 7
        if followed:
            self._subscribe(self._begin_s + LATE_SUBSCRIPTION_S if late else 0.0)
        documents = self._documents()
        times = sorted(self._rng.uniform(self._begin_s, self._end_s) for _ in documents)
        times[0] = self._begin_s
        for events, at_s in zip(documents, times, strict=True):
            self._publish(events, at_s)
        if followed and not late:  # what becomes of a repeat that nobody follows is no part of the account
            self._disturb(documents, number)
        return self._records

    def _documents(self) -> list[list[cargo.Event]]:
        """The journey cut into documents: of one event each in 2.2, of up to three in 3.0; one in six is late."""
        events = cargo.journey(self._rng, self._shipment)
        documents = []
        while events:
            count = self._rng.randint(1, 3) if self._is_v3 else 1
            documents.append(events[:count])
            events = events[count:]
        if self._rng.random() < 1 / 6:
            position = self._rng.randrange(1, len(documents) - 1)
            documents[position], documents[position + 1] = documents[position + 1], documents[position]
        return documents

    def _disturb(self, documents: list[list[cargo.Event]], number: int) -> None:
        chosen = self._rng.choice(documents)
        if self._rng.random() < 0.3:
            self._put(self._encoded(chosen), self._content_type, self._end_s)
            heard = sum(self._told(event) > 0 for event in chosen)
            self._expectation.repeated += heard
            self._expectation.silent += len(chosen) - heard  # what nobody wanted was not told, so it is no repeat
        if self._is_v3 and self._rng.random() < 0.3:
            self._publish([chosen[0].corrected(timedelta(hours=3))], self._end_s)
        if self._is_v3 and self._rng.random() < 0.15:
            self._put(self._encoded([chosen[-1].withdrawn()]), V3, self._end_s)
            self._expectation.retracted += 1
        if number % 4 == 0:
            self._break(number // 4)
        if number == 1:
            self._put(*broken.oversized(cargo.as_v2(chosen[0])), self._end_s)
            self._expectation.refused["too large"] += 1

    def _break(self, turn: int) -> None:
        """Every kind comes round; with it a document of several events of which one is broken."""
        kind = list(broken.BREAKAGES)[turn % len(broken.BREAKAGES)]
        now = self._shipment.booked_at
        event = cargo.Event(f"{self._shipment.booking}-x", self._shipment, cargo.PLAN[3], now, now)
        at_s = self._rng.uniform(self._begin_s, self._end_s)
        self._put(*broken.BREAKAGES[kind](self._rng, cargo.as_v2(event)), at_s)
        self._expectation.refused[kind] += 1
        mixed = {"events": [cargo.as_v3(event), {"eventID": "without all the rest"}]}
        self._put(msgspec.json.encode(mixed), V3, at_s)
        self._expectation.refused["one of several"] += 1
        self._count(event)

    def _subscribe(self, at_s: float) -> None:
        self._people = people.recipients(self._rng, self._shipment.booking)
        value = msgspec.json.encode({"shipment_id": self._shipment.booking, "recipients": self._people})
        self._records.append(FeedRecord(TopicKind.SUBSCRIPTIONS, self._key, value, SUBSCRIPTION, at_s))
        self._expectation.subscriptions += 1

    def _publish(self, events: list[cargo.Event], at_s: float) -> None:
        self._put(self._encoded(events), self._content_type, at_s)
        for event in events:
            self._count(event)

    def _count(self, event: cargo.Event) -> None:
        told = self._told(event)
        self._expectation.notifications += told
        if not self._people:
            self._expectation.unsubscribed += 1
        elif told:
            self._expectation.accepted += 1
        else:
            self._expectation.silent += 1

    def _told(self, event: cargo.Event) -> int:
        return people.told(self._people, event.leg.code, by_default=event.leg.code not in NOT_TOLD_BY_DEFAULT)

    @property
    def _content_type(self) -> str:
        return V3 if self._is_v3 else broken.V2

    def _encoded(self, events: list[cargo.Event]) -> bytes:
        if self._is_v3:
            return msgspec.json.encode({"events": [cargo.as_v3(event, words=self._words) for event in events]})
        return msgspec.json.encode(cargo.as_v2(events[0]))

    def _put(self, value: bytes | None, content_type: str | None, at_s: float) -> None:
        self._records.append(FeedRecord(TopicKind.STATUS, self._key, value, content_type, at_s))
        self._expectation.documents += 1
