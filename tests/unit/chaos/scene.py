"""A clean account in the making: everything that the parties of a sound pipeline would remember of what was published.

Plants change it afterwards. Every topic has one partition; the clock goes on by a few milliseconds with each step.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import topics
from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import SEPARATOR, Channel, Lane, notification_id
from pipeline.outcomes import Outcome, Status
from simulators.ledger import Entry, Result
from tests.chaos.account import (
    Account,
    Arrival,
    CircuitWord,
    Committed,
    Coordinates,
    Fault,
    Handed,
    LedgerRow,
    Letter,
    Lined,
    Place,
    Row,
    Rules,
    Waiting,
    Word,
)
from tests.chaos.published import Kind, Line, Told

TIERS_S = (1.0, 2.0)
RULES = Rules(circuit_grace_s=0.5, probe_every_s=1.0)
STEP_MS = 5
BEGAN_MS = 1_790_000_000_000
ENDS = (Status.SENT, Status.SENT, Status.PERMANENT_FAILURE, Status.TEMPORARY_FAILURE)


@dataclass
class Note:
    """One notification that was made, and what was planned for it."""

    id: str
    event: str
    recipient: str
    channel: Channel
    fails: int
    end: Status


@dataclass
class Scene:
    lines: list[Line] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    again: list[Arrival] = field(default_factory=list)
    ledger: list[Lined] = field(default_factory=list)
    handed: list[Handed] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    ledger_rows: list[LedgerRow] = field(default_factory=list)
    entries: dict[Channel, list[Entry]] = field(default_factory=lambda: {channel: [] for channel in Channel})
    faults: list[Fault] = field(default_factory=list)
    circuits: dict[Channel, list[list[CircuitWord]]] = field(default_factory=dict)
    committed: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    now_ms: int = BEGAN_MS
    ends: Counter[str] = field(default_factory=Counter)

    def account(self) -> Account:
        """Everything has been committed, but for what `committed` says otherwise."""
        return Account(
            lines=self.lines,
            arrivals=self.arrivals,
            again=self.again,
            ledger=self.ledger,
            handed=self.handed,
            waiting=self.waiting,
            words=self.words,
            letters=self.letters,
            rows=self.rows,
            ledger_rows=self.ledger_rows,
            entries=self.entries,
            committed=[
                Committed(group, topic, 0, self.committed.get((group, topic), self.ends[topic]), self.ends[topic])
                for group, some in topics.read_by(TIERS_S).items()
                for topic in some
            ],
            read_ms=self.now_ms + 1_000,
            rules=RULES,
            faults=self.faults,
            circuits=self.circuits,
        )

    def place(self, topic: str) -> Place:
        """The next record of a topic."""
        self.now_ms += STEP_MS
        self.ends[topic] += 1
        return Place(topic, 0, self.ends[topic] - 1, self.now_ms)

    # What happens

    def follow(self, shipment: str, people: int, channels: tuple[Channel, ...]) -> None:
        place = self.place(topics.SUBSCRIPTIONS)
        recipients = tuple(f"{shipment}-p{number}" for number in range(people))
        self._publish(Kind.SUBSCRIPTION, shipment, shipment, place, recipients=recipients, channels=channels)

    def publish(self, shipment: str, *, told: Told = Told.OK, looks: int = 0) -> str:
        """A new event, up to its lanes; it was ``looks`` times too early for its subscription."""
        id = f"{shipment}-e{len(self.lines)}"
        place = self.place(topics.STATUS)
        self.arrivals.append(Arrival(place, id))
        self._publish(Kind.EVENT, id, shipment, place, told=told)
        for look in range(1, looks + 1):
            self.wait(id, None, look)
            self.again.append(Arrival(self.place(topics.STATUS_AGAIN), id))
        followed = next(line for line in self.lines if line.id == shipment)
        notes = [
            Note(notification_id(SEPARATOR + id, one, channel), id, one, channel, 0, Status.SENT)
            for one in followed.recipients
            for channel in followed.channels
        ]
        self.notes += notes
        self._record(
            place,
            Disposition.ACCEPTED,
            tuple(Born(id=one.id, channel=one.channel, recipient=one.recipient, lane=Lane.BULK) for one in notes),
        )
        for note in notes:
            self.hand(note, 0, 0)
        return id

    def poison(self, shipment: str) -> str:
        id = f"{shipment}-x{len(self.lines)}"
        place = self.place(topics.STATUS)
        self.arrivals.append(Arrival(place, id))
        self._publish(Kind.POISON, id, shipment, place, way="not JSON")
        self._record(place, Disposition.REFUSED, ())
        self.letters.append(Letter(self.place(topics.DLQ), "invalid-input", place.coordinates, None))
        return id

    def deliver(self, note: Note, *, fails: int, end: Status) -> None:
        """So many calls fail, then comes the end."""
        note.fails, note.end = fails, end
        for attempt in range(1, fails + 1):
            self.call(note, Result.FAILED)
            self.hand(note, attempt, self.wait(note.id, note.channel, attempt))
        result = {Status.SENT: Result.ACCEPTED, Status.PERMANENT_FAILURE: Result.REFUSED}.get(end, Result.FAILED)
        self.call(note, result)
        if end is Status.TEMPORARY_FAILURE:
            origin = next(one.place.coordinates for one in self.handed if one.id == note.id)
            self.letters.append(Letter(self.place(topics.DLQ), "retries-exhausted", origin, note.id))
        outcome = self.outcome(note, end, fails + 1)
        self.words.append(Word(self.place(topics.OUTCOMES), outcome))
        self.rows.append(Row(note.id, end, outcome.attempts, outcome.finished_at))

    def outcome(self, note: Note, status: Status, attempts: int) -> Outcome:
        now = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        return Outcome(
            notification_id=note.id,
            event_id=note.event,
            shipment_id=note.event.partition("-")[0],
            channel=note.channel,
            recipient=note.recipient,
            status=status,
            reason=None,
            provider="simulated",
            provider_reference=None,
            attempts=attempts,
            template="GTIN",
            template_version=1,
            locale="en",
            lane=Lane.BULK,
            created_at=now,
            finished_at=now,
        )

    def call(self, note: Note, result: Result, *, at_ms: int | None = None) -> None:
        self.now_ms += STEP_MS
        at_s = (self.now_ms if at_ms is None else at_ms) / 1000
        self.entries[note.channel].append(
            Entry(at=at_s, request=1, id=note.id, to="somebody", text_sha256="", result=result)
        )

    def hand(self, note: Note, attempts: int, due_ms: int) -> None:
        place = self.place(topics.lane(note.channel, Lane.BULK))
        self.handed.append(Handed(place, note.id, note.channel, attempts, due_ms, False))

    def wait(self, id: str, channel: Channel | None, attempts: int) -> int:
        """It is over when this returns; returns when that was."""
        tier_s = TIERS_S[min(attempts, len(TIERS_S)) - 1]
        place = self.place(topics.retry(tier_s))
        due_ms = place.at_ms + round(tier_s * 1000)
        self.waiting.append(Waiting(place, id, channel, attempts, due_ms, False))
        self.now_ms = due_ms
        return due_ms

    def _publish(self, kind: Kind, id: str, shipment: str, place: Place, *, told: Told = Told.OK, **more: Any) -> None:
        known: dict[str, Any] = {}
        if told is Told.OK:
            known = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
        self.lines.append(Line(kind=kind, id=id, shipment=shipment, at=place.at_ms / 1000, told=told, **known, **more))

    def _record(self, place: Place, disposition: Disposition, born: tuple[Born, ...]) -> None:
        record = EventRecord(
            event_id=None,
            shipment_id=None,
            status=None,
            disposition=disposition,
            reason=None,
            source=Source(topic=place.topic, partition=place.partition, offset=place.offset),
            notifications=born,
            recorded_at=datetime.fromtimestamp(self.now_ms / 1000, UTC),
        )
        self.ledger.append(Lined(self.place(topics.LEDGER), record))
        self.ledger_rows.append(LedgerRow(place.coordinates, 0, disposition))

    # What plants need

    def ids_of(self, event: str) -> set[str]:
        return {note.id for note in self.notes if note.event == event}

    def forget(self, ids: Collection[str], *, but: Collection[str] = ()) -> None:
        """Nobody behind enrich remembers these notifications, except those parties that are named."""
        self.handed = [one for one in self.handed if "handed" in but or one.id not in ids]
        self.waiting = [one for one in self.waiting if "waiting" in but or one.id not in ids]
        self.words = [one for one in self.words if "words" in but or one.outcome.notification_id not in ids]
        self.rows = [one for one in self.rows if "rows" in but or one.id not in ids]
        self.letters = [one for one in self.letters if "letters" in but or one.notification_id not in ids]
        for channel, entries in self.entries.items():
            self.entries[channel] = [one for one in entries if "entries" in but or one.id not in ids]

    def forget_document(self, id: str) -> Coordinates:
        """Enrich has done nothing with it; returns where it lay."""
        at = self.source(id)
        self.ledger = [one for one in self.ledger if one.record.source.offset != at.offset]
        self.ledger_rows = [one for one in self.ledger_rows if one.source != at]
        self.letters = [one for one in self.letters if one.origin != at]
        return at

    def source(self, id: str) -> Coordinates:
        return next(one.place.coordinates for one in self.arrivals if one.id == id)


def clean(dice: Random) -> Scene:
    """Some of everything: sent at once, later, never; refused, and looked at before its subscription was there."""
    scene = Scene()
    for number in range(dice.randint(1, 3)):
        shipment = f"s{number}"
        scene.follow(shipment, dice.randint(1, 2), tuple(dice.sample(tuple(Channel), dice.randint(1, 3))))
        for _ in range(dice.randint(3, 5)):
            scene.publish(shipment, looks=dice.choice((0, 0, 1, 2)))
        for _ in range(dice.randint(1, 2)):
            scene.poison(shipment)
    certain = [(0, Status.SENT), (2, Status.SENT), (1, Status.TEMPORARY_FAILURE)]
    for note in dice.sample(scene.notes, len(scene.notes)):
        fails, end = certain.pop() if certain else (dice.randint(0, 2), dice.choice(ENDS))
        scene.deliver(note, fails=fails, end=end)
    return scene
