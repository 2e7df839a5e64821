"""What does an agent stand on? Fetches in, units of work that a rebalance waits for, and the end of the process.

No exception leaves an agent: what it did not turn into a retry or a dead letter is a bug and ends the process, which is
safe at any point, for nothing is committed before it is durable.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, cast

import structlog
from faust import Stream
from faust.types import StreamT
from faust.types.tuples import TP

from streaming.halt import Halt
from streaming.inflight import Fetch, InFlight
from streaming.records import FetchedRecord

log = structlog.get_logger(__name__)


class Turn(list[Fetch]):
    """What an agent is given at once: the fetches that have arrived since its last turn."""

    def __init__(self, arrived: list[Fetch]) -> None:
        self._arrived = arrived
        super().__init__(self.more())

    def more(self) -> list[Fetch]:
        """What has arrived meanwhile. It is not added here, for a turn may last for as long as there is more."""
        come = [fetch for fetch in self._arrived if fetch.live]
        self._arrived.clear()
        return come


Process = Callable[[Turn], Awaitable[None]]


LOOK_EVERY_S = 0.05
# The first heartbeat after a start takes a second.
TELL_AFTER_S = 2.0


class Drained(Exception):
    """The partitions are being taken away: no new work may begin."""


class Engine:
    """One per worker, for its event loop only.

    ``is_member`` tells whether the group counts this worker in (`streaming.lease`), ``assignments`` how often its
    partitions have changed. ``end`` is called with a reason when the process cannot go on, and does not return.
    """

    def __init__(
        self,
        *,
        drain_timeout_s: float,
        halt: Halt,
        is_member: Callable[[], bool],
        end: Callable[[str], NoReturn],
    ) -> None:
        self.in_flight = InFlight()
        self.halt = halt
        self.assignments = 0
        self._drain_timeout_s = drain_timeout_s
        self._is_member = is_member
        self._end = end
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_assigned: list[Callable[[frozenset[TP]], None]] = []
        self._history: dict[str, tuple[int, Callable[[TP, Sequence[FetchedRecord]], None]]] = {}
        self._on_revoked: list[Callable[[], None]] = []

    def on_assigned(self, hook: Callable[[frozenset[TP]], None]) -> None:
        """Call the hook once tables are recovered, before any record of a new assignment arrives."""
        self._on_assigned.append(hook)

    def on_history(self, topic: str, records: int, hook: Callable[[TP, Sequence[FetchedRecord]], None]) -> None:
        """At each new assignment, show the hook about so many of the records that were committed last."""
        self._history[topic] = (records, hook)

    def look_back(self, topic: str) -> int:
        return self._history[topic][0] if topic in self._history else 0

    def remember(self, tp: TP, records: Sequence[FetchedRecord]) -> None:
        """Records that this group has dealt with before."""
        if tp.topic in self._history:
            self._history[tp.topic][1](tp, records)

    def on_revoked(self, hook: Callable[[], None]) -> None:
        """Call the hook when the partitions are gone, after work has drained and what is done was committed."""
        self._on_revoked.append(hook)

    @property
    def draining(self) -> bool:
        """Whether the partitions are being taken away: what only waits should stop waiting (raise Drained)."""
        return self._draining

    async def run(self, stream: StreamT[Any], process: Process) -> None:
        """The body of an agent: ``process`` every turn, and count its records as finished when it returns."""

        async def and_finish(turn: Turn) -> None:
            await process(turn)
            for fetch in turn:
                self.in_flight.finish(fetch, len(fetch.records))

        await self.feed(stream, and_finish)

    async def feed(self, stream: StreamT[Any], offer: Process) -> None:
        """The body of an agent whose records are finished elsewhere. An exception ends the process."""
        try:
            async for turn in self.turns(stream):
                with suppress(Drained):
                    await offer(turn)
        except Exception as error:  # noqa: BLE001 Faust would commit the failed event and wait five seconds
            self.fail(error)

    async def turns(self, stream: StreamT[Any]) -> AsyncIterator[Turn]:
        """All fetches that have arrived since the last turn: one when idle, many together under load.

        The body of the caller's loop is a unit of work.
        """
        arrived: list[Fetch] = []
        some = asyncio.Event()

        async def pump() -> None:
            async for event in cast(Stream[Any], stream).noack().events():
                arrived.append(event.value)
                some.set()

        pumping = self.spawn(pump())
        try:
            while True:
                await some.wait()
                some.clear()
                with suppress(Drained):
                    await self.membership()
                if (turn := Turn(arrived)) and not self._draining and not self.halt.reason:
                    with self.work():
                        yield turn
        finally:
            pumping.cancel()

    async def membership(self) -> None:
        """Returns while the group counts this worker in: what is about to be done is its own to do.

        Waits while it does not. Raises Drained when the partitions are taken away meanwhile.
        """
        if self._is_member():
            return
        tell_at = time.monotonic() + TELL_AFTER_S
        while not self._is_member():
            if self._draining:
                raise Drained
            if time.monotonic() > tell_at:
                log.warning("the group has not confirmed this worker in time; it waits")
                tell_at = float("inf")
            await asyncio.sleep(LOOK_EVERY_S)

    async def go_on(self, fetch: Fetch) -> None:
        """Between two parts of a turn: returns if the rest of it is still to be done here. Raises Drained."""
        await self.membership()
        if self._draining or self.halt.reason or not fetch.live:
            raise Drained("no more of this turn is to be done here")

    @contextmanager
    def work(self) -> Iterator[None]:
        """A unit of work: begun before a rebalance, it is waited for; during one, it does not begin (Drained)."""
        if self._draining:
            raise Drained
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside the agent; an exception ends the process."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Drained):
            self.fail(error)

    def fail(self, error: BaseException) -> NoReturn:
        log.critical("worker cannot go on", exc_info=error)
        self._end(f"{type(error).__name__}: {error}")

    def assigned(self, assigned: frozenset[TP]) -> None:
        """Tables are recovered; the records of these partitions are about to come."""
        for hook in self._on_assigned:
            hook(assigned)
        self._draining = False

    async def drain(self) -> None:
        """Begin no more work; wait for what has begun, but not past the time limit."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), self._drain_timeout_s)
        except TimeoutError:
            log.warning("work did not end in time; it will be done again", units=self._busy)

    def reset(self) -> None:
        """Forget what was in flight: it comes back from the committed offsets."""
        self.assignments += 1
        self.in_flight.clear()
        for hook in self._on_revoked:
            hook()
