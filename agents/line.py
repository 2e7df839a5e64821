"""Which of the events that an enrich worker has taken in comes next? Urgent ones, a part of a turn at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.events import StatusEvent
from pipeline.routing import is_urgent, urgent_first
from pipeline.trail import Trail
from streaming.inflight import Fetch
from streaming.records import FetchedRecord

# Events that are taken apart before it is their turn, so that urgent ones are found: a window of them, each by itself.
EVENTS_AHEAD = 4_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no event where there should be one."""

    reason: DeadLetterReason
    error: str


class Arrived(msgspec.Struct):
    """A record, and how many of its events are ``left``.

    ``caught_up``: every subscription that had been published when it was taken in is known.
    """

    record: FetchedRecord
    fetch: Fetch
    caught_up: bool
    left: int = 1


class Waiting(msgspec.Struct, frozen=True):
    """What has been found in a record, with its own first coordinates."""

    arrived: Arrived
    trail: Trail
    found: StatusEvent | Refusal

    @property
    def event(self) -> StatusEvent | None:
        return self.found if isinstance(self.found, StatusEvent) else None


class Line:
    """What a turn has taken in and not dealt with; ``found`` takes a record apart, given the time in epoch ms."""

    def __init__(self, found: Callable[[FetchedRecord, int], Iterable[tuple[Trail, StatusEvent | Refusal]]]) -> None:
        self._found = found
        self._unread: deque[Arrived] = deque()
        self._waiting: deque[Waiting] = deque()
        # How many of the first in line are urgent, or go before one that is.
        self._urgent = 0
        # Whether one that is may stand elsewhere.
        self._unordered = False
        self._others_next = False

    def __bool__(self) -> bool:
        return bool(self._waiting or self._unread)

    @property
    def head(self) -> Fetch:
        """What the first in line came with. Raises IndexError where there is none."""
        return (self._waiting[0].arrived if self._waiting else self._unread[0]).fetch

    def add(self, fetches: Iterable[Fetch], *, caught_up: bool) -> None:
        self._unread.extend(Arrived(record, fetch, caught_up) for fetch in fetches for record in fetch.records)

    def part(self, now_ms: int) -> Iterator[Waiting]:
        """What comes next, for as long as the caller has room: the urgent alone, who wait for no part to be full.

        However many of them keep coming, the part after theirs is the others', in the order in which all came.
        """
        self._read(now_ms)
        if self._unordered and not self._urgent and not self._others_next:
            self._to_the_front()
        self._others_next = False
        if not self._urgent:
            while self._waiting:
                yield self._waiting.popleft()
        while self._urgent:
            self._urgent -= 1
            self._others_next = not self._urgent
            yield self._waiting.popleft()

    def _read(self, now_ms: int) -> None:
        while self._unread and len(self._waiting) < EVENTS_AHEAD:
            arrived = self._unread.popleft()
            found = [Waiting(arrived, *one) for one in self._found(arrived.record, now_ms)]
            arrived.left = len(found)
            self._waiting.extend(found)
            self._unordered = self._unordered or any(map(is_urgent, found))

    def _to_the_front(self) -> None:
        urgent, rest = urgent_first(self._waiting)
        self._waiting = deque([*urgent, *rest])
        self._urgent = len(urgent)
        self._unordered = False
