"""What follows from an account at once? What was owed, and what each party says by the id that it is about."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple, TypeVar

from pipeline.ledger import Born
from pipeline.notifications import SEPARATOR, Channel, notification_id
from simulators.ledger import Entry, Result
from tests.chaos.account import (
    Account,
    Arrival,
    Committed,
    Coordinates,
    Handed,
    Letter,
    Lined,
    Place,
    Row,
    Waiting,
    Word,
)
from tests.chaos.published import Kind, Line, Told

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Owed(NamedTuple):
    """A notification that an event must become, if the broker has the event."""

    id: str
    line: Line
    recipient: str
    channel: Channel


class Facts:
    """Everything is computed once, when it is first asked for."""

    def __init__(self, account: Account) -> None:
        self.account = account

    # What was published

    @cached_property
    def possible(self) -> dict[str, Owed]:
        """Every notification that any published event may become, by id."""
        followed = {line.shipment: line for line in self.account.lines if line.kind is Kind.SUBSCRIPTION}
        possible: dict[str, Owed] = {}
        for line in self.account.lines:
            if line.kind is Kind.EVENT and (subscription := followed.get(line.shipment)):
                key = SEPARATOR + line.id  # as `StatusEvent.key` has it: no issuer, no revision
                for recipient in subscription.recipients:
                    for channel in subscription.channels:
                        id = notification_id(key, recipient, channel)
                        possible[id] = Owed(id, line, recipient, channel)
        return possible

    @cached_property
    def owed(self) -> list[Owed]:
        """What must have ended: of events that the broker took, or that left any trace."""
        there = {line.id for line in self.account.lines if self.has_arrived(line)}
        traced = {one.line.id for one in self.possible.values() if one.line.id not in there and self._is_traced(one.id)}
        there |= traced
        return [one for one in self.possible.values() if one.line.id in there]

    def _is_traced(self, id: str) -> bool:
        return any(id in party for party in (self.words, self.rows, self.handed, self.born, self.accepted))

    def has_arrived(self, line: Line) -> bool:
        """The broker took the document: it said so, or the document is there."""
        return line.told is Told.OK or line.id in self.arrivals

    @cached_property
    def poisons(self) -> list[Line]:
        return [line for line in self.account.lines if line.kind is Kind.POISON and self.has_arrived(line)]

    # What each party says, by what it is about

    @cached_property
    def arrivals(self) -> dict[str, Place]:
        """Where each document lies, first."""
        return {one.id: one.place for one in reversed(self.account.arrivals) if one.id is not None}

    @cached_property
    def again(self) -> dict[str, list[Arrival]]:
        """Events that came back from waiting for their subscription."""
        return grouped((one for one in self.account.again if one.id is not None), lambda one: one.id or "")

    @cached_property
    def lined(self) -> dict[Coordinates, list[Lined]]:
        """The ledger's records by the document that they are about."""
        return grouped(self.account.ledger, lambda one: source_of(one))

    @cached_property
    def born(self) -> dict[str, tuple[Lined, Born]]:
        """The ledger's first word on each notification."""
        born: dict[str, tuple[Lined, Born]] = {}
        for lined in self.account.ledger:
            for one in lined.record.notifications:
                born.setdefault(one.id, (lined, one))
        return born

    @cached_property
    def handed(self) -> dict[str, list[Handed]]:
        return grouped(self.account.handed, lambda one: one.id)

    @cached_property
    def waiting(self) -> dict[str, list[Waiting]]:
        return grouped(self.account.waiting, lambda one: one.id)

    @cached_property
    def words(self) -> dict[str, list[Word]]:
        return grouped(self.account.words, lambda one: one.outcome.notification_id)

    @cached_property
    def rows(self) -> dict[str, Row]:
        return {one.id: one for one in self.account.rows}

    @cached_property
    def letters_of(self) -> dict[str, list[Letter]]:
        """The dead letters of notifications."""
        letters = [one for one in self.account.letters if one.notification_id is not None]
        return grouped(letters, lambda one: one.notification_id or "")

    @cached_property
    def letters_from(self) -> dict[Coordinates, list[Letter]]:
        letters = [one for one in self.account.letters if one.origin is not None]
        return grouped(letters, lambda one: one.origin or Coordinates("", 0, 0))

    @cached_property
    def accepted(self) -> dict[str, list[tuple[Channel, Entry]]]:
        """What the providers took, in order."""
        told: defaultdict[str, list[tuple[Channel, Entry]]] = defaultdict(list)
        for channel, entries in self.account.entries.items():
            for entry in entries:
                if entry.result is Result.ACCEPTED:
                    told[entry.id].append((channel, entry))
        return dict(told)

    @cached_property
    def _committed(self) -> Mapping[tuple[str, str, int], Committed]:
        return {(one.group, one.topic, one.partition): one for one in self.account.committed}

    def is_past(self, group: str, place: Place | Coordinates) -> bool:
        """Whether the group has committed past the record: it is dealt with, or lost."""
        known = self._committed.get((group, place.topic, place.partition))
        return known is not None and known.committed > place.offset


def source_of(lined: Lined) -> Coordinates:
    source = lined.record.source
    return Coordinates(source.topic, source.partition, source.offset)


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
