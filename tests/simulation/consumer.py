"""How do records reach a role? Through the consumers under test, with Kafka's side of them simulated.

`SimulatedConsumer` is the real `streaming.consumer.FetchConsumer` (where an assignment begins, look-back, gaps, which
offsets are committed, how partitions are given up) without Faust's loop and client. `SimulatedClient` is what
`streaming.delay.DelayService` uses of an AIOKafkaConsumer.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from faust.types.tuples import TP

from streaming.consumer import FetchConsumer
from streaming.lost import LossWatch
from tests.simulation.broker import Group
from tests.simulation.choices import place_name
from tests.simulation.tables import SimulatedTable

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.roles import SimulatedApp

COMMIT_EVERY_S = 0.5
COMMIT_S = 0.01
FETCH_RECORDS = 4
FETCH_S = 0.01
RECOVERY_S = 0.05

silent = logging.getLogger("tests.simulation.silent")
silent.addHandler(logging.NullHandler())
silent.propagate = False


class SimulatedConsumer(FetchConsumer):
    """One life's member of its group."""

    log = silent  # type: ignore[assignment]

    def __init__(self, life: "Life", app: "SimulatedApp", group: Group, tables: Sequence[SimulatedTable]) -> None:
        # Not what a Faust consumer is given: none of its services run here.
        self.life = life
        self.app = app  # type: ignore[assignment]
        self.group = group
        self._tables = tables
        self._open = None
        self._prepared = None
        self._assignments = 0
        self._revoked = False
        self._committed = {}
        self._ends = {}
        self._next = {}
        self._expected = {}
        self._gaps = {}
        self._past = {}
        self._loss = LossWatch(self.app.policy.group, self.app.halt)
        self._read_offset = {}
        self._assigned: frozenset[TP] = frozenset()
        self._at: dict[TP, int] = {}
        self._sent: dict[TP, int] = {}
        self._committing = asyncio.Lock()
        self._commit_is_due = False
        self._has_lost = False
        self.opened_at = 0.0
        self._some = asyncio.Event()
        self._recovering: asyncio.Task[Any] | None = None
        self._leaving: asyncio.Task[Any] | None = None
        app.engine.in_flight.room = _Bell(self._on_finished)

    def start(self) -> None:
        self.life.spawn(self._read())

    # The group's side: called in the world's time

    @property
    def generation(self) -> int:
        return self.app.consumer_generation_id

    def revoke(self) -> None:
        if self._leaving is None or self._leaving.done():
            self._leaving = self.life.spawn(self._give_up())

    def assign(self, assigned: frozenset[TP], generation: int) -> None:
        self.life.spawn(self._take_over(assigned, generation))

    def wake(self) -> None:
        self._some.set()

    async def _give_up(self) -> None:
        """As Faust's Consumer does when its client is about to join anew."""
        if self._recovering is not None:
            self._recovering.cancel()
        self._revoked = True
        self._close()
        await self.wait_empty()
        self._assigned = frozenset()
        if self.group.is_member(self):
            self.group.ready(self)
        else:
            self.group.join(self)

    async def _take_over(self, assigned: frozenset[TP], generation: int) -> None:
        """As `FetchConsumer.on_partitions_assigned`, Faust's recovery and `ConsumerApp.on_rebalance_end` do."""
        if not self.group.is_current(self, generation):
            return
        self._close()
        self.app.engine.reset()
        self._revoked = self._has_lost = False
        self._assigned = assigned
        self.app.consumer_generation_id = generation
        self._recovering = self.life.spawn(self._recover(assigned))

    async def _recover(self, assigned: frozenset[TP]) -> None:
        await self.life.step("before it recovers its tables")
        await asyncio.sleep(RECOVERY_S)
        for table in self._tables:
            table.recover({tp.partition for tp in assigned})
        await self.life.step("after it recovered its tables")
        await self.perform_seek()
        prepared = self.prepared()
        if prepared is None:
            return
        self.app.engine.assigned(prepared)
        self.open(prepared)
        self._sent = dict(self._committed)
        self.opened_at = self.life.world.loop.time()
        self._some.set()

    # What Faust's consumer is to the code under test

    def assignment(self) -> set[TP]:  # type: ignore[override]
        return set(self._assigned)

    async def seek_to_committed(self) -> Mapping[TP, int]:  # type: ignore[override]
        await asyncio.sleep(COMMIT_S)
        return {tp: self.group.committed[tp] for tp in sorted(self._assigned) if tp in self.group.committed}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        await asyncio.sleep(COMMIT_S)
        return {tp: self.highwater(tp) for tp in partitions}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        if not partitions.keys() <= self._assigned:
            raise IllegalStateError("not assigned")
        self._at.update(partitions)

    def highwater(self, tp: TP) -> int:
        return self.life.world.broker.end(tp)

    @property
    def flow_active(self) -> bool:  # type: ignore[override]
        return not self._revoked

    async def _hand_over(self, message: Any) -> None:
        self.app.deliver(message.value)

    async def maybe_wait_for_commit_to_finish(self) -> bool:
        async with self._committing:
            return False

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """As Faust's: whatever `_new_offset` says is further than what was sent before."""
        offsets = {
            tp: offset
            for tp in self._filter_tps_with_pending_acks()
            if (offset := self._new_offset(tp)) is not None and offset > self._sent.get(tp, -1)
        }
        if not offsets:
            return False
        self._sent.update(offsets)
        return await self._commit(offsets)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        taken = await self._ask_to_commit({tp: offset for tp, offset in offsets.items() if tp in self._assigned})
        if taken:
            self._committed.update(offsets)
        return taken

    async def _ask_to_commit(self, offsets: Mapping[TP, int]) -> bool:
        generation = self.app.consumer_generation_id
        await self.life.step("before it commits")
        await asyncio.sleep(COMMIT_S)
        await self.life.connection()
        taken = self.group.commit(self, generation, offsets)
        await self.life.step("after it has committed")
        return taken

    def _on_finished(self) -> None:
        self._some.set()
        if not self._commit_is_due:
            self._commit_is_due = True
            asyncio.get_running_loop().call_later(COMMIT_EVERY_S, self._begin_commit)

    def _begin_commit(self) -> None:
        self._commit_is_due = False
        self.life.spawn(self._commit_in_turn())

    async def _commit_in_turn(self) -> None:
        async with self._committing:
            await self.force_commit()

    async def _read(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            await asyncio.sleep(FETCH_S)
            # The order of a set is not the same in every process.
            for tp in sorted(self._open or ()):
                await self._fetch(tp)

    async def _fetch(self, tp: TP) -> None:
        world = self.life.world
        while self._open is not None and tp in self._open and self.app.engine.in_flight.has_room(tp.topic):
            log, at = world.broker.logs[tp], self._at[tp]
            if at >= len(log):
                return
            way = world.choices.take(place_name(self.life.name, "fetch"), 4, 15.0)
            records = log[at : at + (1 if way == 1 else FETCH_RECORDS)]
            self._at[tp] = at + len(records)
            number = self._assignments
            if way == 2:
                await asyncio.sleep(0.2)
            if way == 3 and at + len(records) < len(log) and at >= self._expected[tp] and not self._has_lost:
                # Nobody misses what was the last, or was history; what is lost twice is taken to be gone.
                self._has_lost = True
                world.note(self.life.name, "loses what it fetched of %s-%d from %d on", *tp, at)
                self._some.set()
                return
            if number == self._assignments and self._open is not None and tp in self._open:
                await self._deliver_fetch(tp, records)


class _Bell(asyncio.Event):
    """The event of `InFlight.room`, which is set whenever something has finished."""

    def __init__(self, ring: Any) -> None:
        super().__init__()
        self._ring = ring

    def set(self) -> None:
        super().set()
        self._ring()


class SimulatedClient:
    """An AIOKafkaConsumer: partitions come and go without asking, and pauses go with them."""

    def __init__(self, life: "Life", group: Group) -> None:
        self.life = life
        self.group = group
        self.generation = -1
        self._assigned: frozenset[TP] = frozenset()
        self._at: dict[TP, int] = {}
        self._paused: set[TP] = set()
        self._some = asyncio.Event()

    # The group's side

    def revoke(self) -> None:
        self.life.spawn(self._join_anew())

    async def _join_anew(self) -> None:
        self._assigned = frozenset()
        if self.group.is_member(self):
            self.group.ready(self)
        else:
            self.group.join(self)

    def assign(self, assigned: frozenset[TP], generation: int) -> None:
        self.life.spawn(self._take_over(assigned, generation))

    async def _take_over(self, assigned: frozenset[TP], generation: int) -> None:
        self._assigned = assigned
        self.generation = generation
        self._paused.clear()
        self._at = {tp: self.group.committed.get(tp, 0) for tp in assigned}
        self._listener.on_partitions_assigned(self.assignment())
        self._some.set()

    def wake(self) -> None:
        self._some.set()

    # The service's side

    def subscribe(self, topics: Iterable[str], listener: ConsumerRebalanceListener) -> None:
        self._listener = listener

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(TopicPartition(*tp) for tp in self._assigned)

    def highwater(self, tp: TopicPartition) -> int:
        return self.life.world.broker.end(TP(*tp))

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, Sequence[Any]]:
        if not (polled := self._polled()):
            self._some.clear()
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await self._some.wait()
            except TimeoutError:
                return {}
            polled = self._polled()
        return polled

    def _polled(self) -> dict[TopicPartition, Sequence[Any]]:
        polled: dict[TopicPartition, Sequence[Any]] = {}
        for tp in sorted(self._assigned - self._paused):
            if records := self.life.world.broker.logs[tp][self._at[tp] :]:
                self._at[tp] += len(records)
                polled[TopicPartition(*tp)] = records
        return polled

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._check(tp)
        self._at[TP(*tp)] = offset

    def pause(self, tp: TopicPartition) -> None:
        self._check(tp)
        self._paused.add(TP(*tp))

    def resume(self, *tps: TopicPartition) -> None:
        for tp in tps:
            self._check(tp)
            self._paused.discard(TP(*tp))

    def _check(self, tp: TopicPartition) -> None:
        if TP(*tp) not in self._assigned:
            raise IllegalStateError(f"{tp} is not assigned")

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(COMMIT_S)
        return {tp: self.highwater(tp) for tp in tps}

    async def committed(self, tp: TopicPartition) -> int | None:
        await asyncio.sleep(COMMIT_S)
        return self.group.committed.get(TP(*tp))

    async def position(self, tp: TopicPartition) -> int:
        self._check(tp)
        return self._at[TP(*tp)]

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for tp in offsets:
            self._check(tp)
        generation = self.generation
        await self.life.step("before it commits")
        await asyncio.sleep(COMMIT_S)
        await self.life.connection()
        if not self.group.commit(self, generation, {TP(*tp): offset for tp, offset in offsets.items()}):
            raise CommitFailedError("an older generation")
        await self.life.step("after it has committed")
