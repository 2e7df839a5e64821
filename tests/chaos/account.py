"""What does every party remember of one scenario? Plain data: `ledgers` reads it, `checker` judges it.

All times are on one machine's clock: ``…_s`` in epoch seconds, ``…_ms`` in milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import topics
from pipeline.ledger import Disposition, EventRecord
from pipeline.notifications import Channel
from pipeline.outcomes import Outcome, Status
from settings import Role
from simulators.ledger import Entry
from tests.chaos.published import Line

ENRICH, RETRY, SINK = map(topics.group, (Role.ENRICH, Role.RETRY, Role.SINK))


def send_group(channel: Channel) -> str:
    return topics.group(f"send-{channel}")


class Coordinates(NamedTuple):
    topic: str
    partition: int
    offset: int


class Place(NamedTuple):
    """Where a record lies, and when it was given to its producer's client."""

    topic: str
    partition: int
    offset: int
    at_ms: int

    @property
    def coordinates(self) -> Coordinates:
        return Coordinates(self.topic, self.partition, self.offset)


class Arrival(NamedTuple):
    """A record for enrich: ``id`` is the feeder's, or None where the record is not the feeder's."""

    place: Place
    id: str | None


class Lined(NamedTuple):
    """A record of the ledger of events."""

    place: Place
    record: EventRecord


class Handed(NamedTuple):
    """A record of a lane: an attempt that a send role is to make, after ``attempts`` others."""

    place: Place
    id: str
    channel: Channel
    attempts: int
    due_ms: int
    in_doubt: bool


class Waiting(NamedTuple):
    """A record of a retry tier. ``channel`` is None for an event that waits for its subscription: ``id`` is its own."""

    place: Place
    id: str
    channel: Channel | None
    attempts: int
    due_ms: int
    in_doubt: bool


class Word(NamedTuple):
    """A record of the outcome topic."""

    place: Place
    outcome: Outcome


class Letter(NamedTuple):
    """A dead letter; ``origin`` is None, or ``reason`` empty, where its headers do not say."""

    place: Place
    reason: str
    origin: Coordinates | None
    notification_id: str | None


class Row(NamedTuple):
    """A row of ``notification_outcome``."""

    id: str
    status: Status
    attempts: int
    finished_at: datetime


class LedgerRow(NamedTuple):
    """A row of ``event_ledger``; ``number`` counts the events of one document from 0."""

    source: Coordinates
    number: int
    disposition: Disposition


class Committed(NamedTuple):
    """How far a group has got with a partition: ``committed`` is the partition's beginning where it has not begun."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int


class CircuitWord(NamedTuple):
    """A line of a worker's log: its circuit opened, or closed."""

    at_s: float
    provider: str
    opened: bool


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that was done to a channel, or to all where ``channel`` is None.

    From ``at_s`` to ``until_s``, when everything that it had touched was dealt with, at most ``in_flight`` messages of
    each channel may have been told again. ``ends_workers``: the channel's send workers lost their memory, and with it
    what they knew of their circuits.
    """

    name: str
    at_s: float
    until_s: float
    channel: Channel | None
    in_flight: int
    ends_workers: bool

    def covers(self, channel: Channel, at_s: float) -> bool:
        return self.channel in (None, channel) and self.at_s <= at_s <= self.until_s


@dataclass(frozen=True, kw_only=True)
class Rules:
    """``circuit_grace_s``: what was begun before a circuit opened has ended by then. ``probe_every_s`` is the shortest
    wait of an open circuit: one message may be sent so often."""

    circuit_grace_s: float
    probe_every_s: float


@dataclass(frozen=True, kw_only=True)
class Account:
    """Records of topics are in offset order by partition; entries and circuit words in order of time.

    ``read_ms`` is when the offsets were read, before everything else of the pipeline's. ``circuits`` has the words of
    each worker of a channel, also of those that said nothing.
    """

    lines: Sequence[Line]
    arrivals: Sequence[Arrival]
    again: Sequence[Arrival]
    ledger: Sequence[Lined]
    handed: Sequence[Handed]
    waiting: Sequence[Waiting]
    words: Sequence[Word]
    letters: Sequence[Letter]
    rows: Sequence[Row]
    ledger_rows: Sequence[LedgerRow]
    entries: Mapping[Channel, Sequence[Entry]]
    committed: Sequence[Committed]
    read_ms: int
    rules: Rules
    faults: Sequence[Fault] = ()
    circuits: Mapping[Channel, Sequence[Sequence[CircuitWord]]] = field(default_factory=dict)
