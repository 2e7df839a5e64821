"""How do records get in? A whole fetch at a time: one Faust message per partition, its value the `Fetch`.

Faust makes an Event of every record and commits by looking for gaps among them, which is slow and, with more than one
record in flight, wrong. Here a message carries a fetch, the offsets to commit are watermarks (`streaming.inflight`),
and a partition whose window is full is left in the fetcher instead of blocking the others. Changelogs go to the
recovery, a fetch at a time too.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, Message

from streaming.engine import Drained
from streaming.lost import LossWatch
from streaming.pace import Pace
from streaming.records import FetchedRecord
from streaming.recovery import Tables
from streaming.stand import Stand
from streaming.thread import FetchThread
from streaming.watchdog import ASK_TIMEOUT_S

if TYPE_CHECKING:
    from streaming.app import ConsumerApp

log = structlog.get_logger(__name__)

# While some partitions wait for room, the others are asked in short turns, so that room is noticed soon.
POLL_S = 1.0
POLL_WHILE_FULL_S = 0.01
LOOK_EVERY_S = 0.005
# From aiokafka's thread to the account of what is in flight.
ON_ITS_WAY_S = 0.5


class FetchConsumer(driver.Consumer):
    """Faust's consumer with its drain loop, its choice of offsets and its wait for streams replaced."""

    app: "ConsumerApp"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: frozenset[TP] | None = None
        self._prepared: frozenset[TP] | None = None
        self._assignments = 0
        self.assigned_at = time.monotonic()
        self._revoked = False
        self._committed: dict[TP, int] = {}
        self._ends: Mapping[TP, int] = {}
        # Below what is expected there is history, once; below what has been read nothing comes by itself.
        self._expected: dict[TP, int] = {}
        self._next: dict[TP, int] = {}
        self._gaps: dict[TP, tuple[int, int]] = {}
        # Since when each has been read to this end.
        self._past: dict[TP, tuple[int, float]] = {}
        self._loss = LossWatch(self.app.policy.group, self.app.halt)

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, lease=self.app.lease, loop=self.loop, beacon=self.beacon)

    @property
    def is_open(self) -> bool:
        """Records of the present assignment may come."""
        return self._open is not None

    async def perform_seek(self) -> None:
        """Prepare the new assignment: Faust's recovery calls this when the tables are there, before it lets go.

        Every batched partition is sought: to what the group has committed, or where nothing is, to the start of the
        log; a fetch of the assignment before may be late. A topic that wants to look back is read from a little
        earlier: what was committed is history, not work. More committed than there is halts the worker.
        """
        self._prepared = None
        number = self._assignments
        assigned = frozenset(tp for tp in self.assignment() if self.app.engine.in_flight.is_batched(tp.topic))
        try:
            committed = await self.seek_to_committed() if assigned else {}
            ends = await self.highwaters(*assigned) if assigned else {}
            starts = await self.earliest_offsets(*assigned) if assigned else {}
            first = {tp: max(committed.get(tp) or 0, starts[tp]) for tp in assigned}
            sought = {tp: max(starts[tp], first[tp] - self.app.engine.look_back(tp.topic)) for tp in assigned}
            await self.seek_wait(sought)
        except IllegalStateError:
            return  # taken away while we asked
        if number != self._assignments or self._revoked:
            return
        self._committed = {tp: offset for tp in assigned if (offset := committed.get(tp)) is not None}
        self._ends = ends
        self._expected = first
        self._next = sought
        self.look_for_loss(self._committed)
        for tp, offset in self._committed.items():
            _tell_unread(tp, offset, starts[tp])
        self._prepared = assigned

    def look_for_loss(self, reached: Mapping[TP, int]) -> None:
        """Halts the worker where a partition ended before what has been reached, when it was taken over."""
        self._loss.compare(reached, self._ends)

    def prepared(self) -> frozenset[TP] | None:
        """The partitions of the present assignment, once they have been sought and not been taken away since."""
        return self._prepared if self.assignment() else frozenset()

    def open(self, assigned: frozenset[TP]) -> None:
        """Let the records of these partitions come."""
        self._open = assigned

    def _close(self) -> None:
        self._open = self._prepared = None
        self._assignments += 1
        self._expected.clear()
        self._next.clear()
        self._gaps.clear()
        self._past.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._revoked = True
        self._close()
        if self.app.should_stop:
            # The app commits by itself, and Faust would close the client under it; but what is under way ends first.
            await self.app.engine.drain()
        else:
            await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # A recovery of the assignment before may have prepared and opened it since the revoke.
        self._close()
        self.app.engine.reset()
        self.assigned_at = time.monotonic()
        self._revoked = False
        if not self.app.should_stop:
            await super().on_partitions_assigned(assigned, generation_id)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 as Faust names it
        in_flight = self.app.engine.in_flight
        open_now = frozenset() if self.app.halt.reason else self._open or frozenset()
        active = {tp for tp in active_partitions or () if tp in open_now or not in_flight.is_batched(tp.topic)}
        if not active:
            await self.sleep(POLL_WHILE_FULL_S)
            return {}
        roomy = {tp for tp in active if in_flight.has_room(tp.topic)}
        if len(roomy) == len(active):
            return await super()._getmany(active, timeout)
        if roomy:
            return await super()._getmany(roomy, POLL_WHILE_FULL_S)
        in_flight.room.clear()
        await self.wait_first(in_flight.room.wait(), self.suspend_flow.wait(), timeout=timeout)
        return {}

    async def _drain_messages(self, fetcher: Any) -> None:
        consumer_stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set
        pace = Pace(self.app.policy.gather_s)
        try:
            while not (consumer_stopped() or fetcher_stopped()):
                fetched, _ = await self._wait_next_records(POLL_S)
                # What arrives while the flow is stopped is dropped: whoever takes the partitions over seeks.
                if fetched and self.flow_active:
                    await self._deliver(fetched)
                if self.app.policy.gather_s:
                    records = sum(map(len, fetched.values())) if fetched else 0
                    cast(FetchThread, self._thread).gather(pace.gather_s(time.monotonic(), records))
                await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise

    async def _deliver(self, fetched: Mapping[TP, Sequence[FetchedRecord]]) -> None:
        number = self._assignments
        for tp, records in fetched.items():
            # Either may change while one of them waits to be taken.
            if not self.flow_active or number != self._assignments:
                return
            if self.app.engine.in_flight.is_batched(tp.topic):
                if self._open is not None and tp in self._open and not self.app.halt.reason:
                    await self._deliver_fetch(tp, records)
            else:
                cast(Tables, self.app.tables).recovery.apply(tp, records)
                self._read_offset[tp] = records[-1].offset

    async def _deliver_fetch(self, tp: TP, records: Sequence[FetchedRecord]) -> None:
        expected = self._expected[tp]
        if records[0].offset < expected:
            records = self._remember(tp, records)
            if not records:
                return
        if records[0].offset > expected:
            gap = (expected, records[0].offset)
            # A rebalance can lose what was queued; what retention or a transaction marker took is gone for good. Only
            # the very same gap at a second look is of the latter kind.
            if self._gaps.get(tp) != gap:
                self._gaps[tp] = gap
                self.log.info("offsets of %s jump from %s to %s: reading again", tp, *gap)
                await self._read_again(tp, expected)
                _tell_unread(tp, expected, await self._start_of(tp))
                return
            self.log.info("offsets %s to %s of %s hold no records any more", expected, gap[1] - 1, tp)
        last = records[-1]
        self._expected[tp] = self._next[tp] = last.offset + 1
        self._read_offset[tp] = last.offset
        self.app.metrics.consumed(tp.topic, len(records))
        fetch = self.app.engine.in_flight.admit(tp, records)
        await self._hand_over(
            Message(
                tp.topic,
                tp.partition,
                last.offset,
                last.timestamp / 1000,
                last.timestamp_type,
                None,
                None,
                cast(bytes, fetch),
                None,
                0,
                0,
                tp,
                generation_id=self.app.consumer_generation_id,
            )
        )

    def _remember(self, tp: TP, records: Sequence[FetchedRecord]) -> list[FetchedRecord]:
        """What was committed before is history; returns what is not. Halts the worker where aiokafka has gone back."""
        expected = self._expected[tp]
        if records[0].offset < self._next[tp]:
            self._loss.went_back(tp, records[0].offset, expected)
            return []
        history = [record for record in records if record.offset < expected]
        self.app.engine.remember(tp, history)
        self._next[tp] = history[-1].offset + 1
        return [record for record in records if record.offset >= expected]

    async def _start_of(self, tp: TP) -> int:
        """Where the log begins; 0 where the broker does not say in time."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return int((await self.earliest_offsets(tp))[tp])
        except (KafkaError, TimeoutError) as error:
            self.log.info("the broker does not tell where %s begins: %r", tp, error)
            return 0

    async def _read_again(self, tp: TP, offset: int) -> None:
        try:
            await self.seek_wait({tp: offset})
        except IllegalStateError:
            self.log.info("%s was taken away before it could be read again", tp)

    async def _hand_over(self, message: Any) -> None:
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self.app.engine.in_flight.watermarks()))

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.engine.in_flight.watermarks().get(tp)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # Faust remembers an offset as committed whether the broker took it or not.
        taken = await super()._commit(offsets)
        if taken:
            self._committed.update(offsets)
        return taken

    def committed(self, tp: TP) -> int | None:
        """The offset that the broker has taken: what a crash would begin again from."""
        return self._committed.get(tp)

    async def catch_up(self, topic: str, partitions: Iterable[int], limit_s: float) -> bool:
        """Whether every record that the last fetch knew of, when this was asked, has been finished within ``limit_s``.

        Raises Drained when the partitions are taken away meanwhile.
        """
        give_up_at = time.monotonic() + limit_s
        ends: dict[TP, int | None] = {TP(topic, partition): None for partition in partitions}
        while True:
            finished = self.app.engine.in_flight.watermarks()
            ends = {tp: self.highwater(tp) if end is None else end for tp, end in ends.items()}
            ends = {tp: end for tp, end in ends.items() if end is None or not self._has_finished(tp, end, finished)}
            if not ends:
                return True
            if self.app.engine.draining or self.app.halt.reason:
                raise Drained(f"{topic} was still to be read")
            if time.monotonic() >= give_up_at:
                return False
            await asyncio.sleep(LOOK_EVERY_S)

    def _has_finished(self, tp: TP, end: int, finished: Mapping[TP, int]) -> bool:
        return finished.get(tp, self._committed.get(tp, 0)) >= end or self._is_past(tp, end)

    def _is_past(self, tp: TP, end: int) -> bool:
        """What stands last is no record but a transaction's marker: it was read, and for a while nothing came of it."""
        if self._position(tp) < end or self.app.engine.in_flight.is_busy(tp):
            self._past.pop(tp, None)
            return False
        at, since = self._past.setdefault(tp, (end, time.monotonic()))
        if at != end:
            self._past[tp] = (end, time.monotonic())
            return False
        return time.monotonic() - since > ON_ITS_WAY_S

    async def ends(self, timeout_s: float) -> Mapping[TP, int]:
        """The end of every open partition, asked of the broker; nothing where it does not answer in time.

        Halts the worker where a partition ends before what has been read. One whose window is full does not find out by
        itself: nothing is fetched for it.
        """
        reached = {tp: self._expected[tp] for tp in self._open or ()}
        try:
            async with asyncio.timeout(timeout_s):
                ends = await self.highwaters(*reached) if reached else {}
        except (KafkaError, TimeoutError) as error:
            self.log.info("the broker does not tell the ends of partitions: %r", error)
            return {}
        self._loss.compare(reached, ends)
        return ends

    def stands(self, ends: Mapping[TP, int]) -> dict[TP, Stand]:
        """Where every open partition stands; ``ends`` are those that the broker told last."""
        finished = self.app.engine.in_flight.watermarks()
        return {
            tp: Stand(
                committed=self._committed.get(tp, 0),
                finished=finished.get(tp, 0),
                read=self._position(tp),
                end=max(ends.get(tp, 0), self.highwater(tp) or 0),
                in_flight=self.app.engine.in_flight.is_busy(tp),
            )
            for tp in self._open or ()
        }

    def _position(self, tp: TP) -> int:
        """Where aiokafka reads next: past what holds no records, such as the marker of a transaction."""
        state = self._thread._ensure_consumer()._subscription.subscription.assignment.state_value(tp)
        return state.position if state is not None and state.has_valid_position else 0

    async def wait_empty(self) -> None:
        """On a rebalance and on the way out: let work under way end, within a time limit, then commit and forget."""
        self._close()
        began = time.monotonic()
        await self.app.engine.drain()
        drained = time.monotonic()
        # Not `commit`, which does nothing while another commit, of less, is under way.
        await self.maybe_wait_for_commit_to_finish()
        await self.force_commit()
        self.app.engine.reset()
        log.info(
            "partitions given up", drain_s=round(drained - began, 2), commit_s=round(time.monotonic() - drained, 2)
        )

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's check looks for acks per event; `streaming.watchdog` looks at watermarks instead."""


def _tell_unread(tp: TP, reached: int, start: int) -> None:
    """Nothing brings back what retention has taken before the group came to it: somebody should know."""
    if start > reached:
        log.error("records are gone unread", topic=tp.topic, partition=tp.partition, first=reached, last=start - 1)


class UnusedProducer(driver.Producer):
    """Faust starts a producer whatever happens; ours is `streaming.producer`. This one would keep its promises too."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class FetchTransport(driver.Transport):
    Consumer = FetchConsumer
    Producer = UnusedProducer
