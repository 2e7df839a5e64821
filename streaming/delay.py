"""How does a record wait without holding anything up? In a topic of its tier, read by a role that does nothing else.

A partition's head is due first, about: it is paused until then while the others go on. Nothing is returned early; what
is due goes back to the topic that its header names, is acknowledged there, and only then committed here. What cannot
be read, or wants to go where nothing may, is a dead letter.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from mode import Service

from observability.metrics import Metrics
from streaming import connection, coordinator
from streaming import records as fetched
from streaming.halt import Halt
from streaming.lost import LossWatch
from streaming.member import heartbeat_s
from streaming.producer import Record, RecordSink
from streaming.records import FetchedRecord
from streaming.watchdog import ASK_EVERY_S, ASK_TIMEOUT_S, Patience, end_process

log = structlog.get_logger(__name__)

POLL_MS = 200
AT_ONCE = 1_000
COMMIT_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 40.0
SHOW_EVERY_S = 1.0

# When a record is due (ms since the epoch), and what it becomes then.
Due = tuple[int, Record]


class DelayService(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types here
    """One consumer over every tier; ``tiers`` gives each topic its tier's name.

    ``read`` tells what a record waits for; it never raises. Once Kafka has lost records, nothing is returned any more.
    """

    def __init__(
        self,
        *,
        kafka: str,
        group: str,
        instance_id: str | None,
        session_timeout_s: float,
        tiers: Mapping[str, str],
        out: RecordSink,
        read: Callable[[FetchedRecord], Due],
        patience: Patience,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        halt: Halt,
        end: Callable[[str], NoReturn] = end_process,
    ) -> None:
        super().__init__()
        self._out = out
        self._read = read
        self._patience = patience
        self._metrics = metrics
        self._halt = halt
        self._loss = LossWatch(group, halt)
        self._end = end
        self._clock_ms = clock_ms
        self._paused_until: dict[TopicPartition, int] = {}
        # Of what stands first, or where that has not been read, of what stood before it: it was due no later.
        self._due: dict[TopicPartition, int] = {}
        self._position: dict[TopicPartition, int] = {}
        # A new one for each assignment: what was read before it is read again, and a turn may outlast its own.
        self._committed: dict[TopicPartition, int] = {}
        self._show_at = 0.0
        self._ends: dict[TopicPartition, int] = {}
        self._in_turn = asyncio.Lock()
        self._tiers = tiers
        # A join waits for members that are silent, and must not be given up before they are.
        self._join_s = session_timeout_s + REQUEST_TIMEOUT_S
        self._settings = {
            "bootstrap_servers": kafka,
            "group_id": group,
            "group_instance_id": instance_id,
            "session_timeout_ms": int(session_timeout_s * 1000),
            "request_timeout_ms": int(self._join_s * 1000),
            "heartbeat_interval_ms": int(heartbeat_s(session_timeout_s) * 1000),
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": 4 << 20,
        }

    async def on_start(self) -> None:
        fetched.install()
        connection.install()
        coordinator.install()
        self._consumer = AIOKafkaConsumer(**self._settings)
        self._consumer.subscribe(tuple(self._tiers), listener=self)
        try:
            # It returns with partitions, and waits for them as long as it takes.
            await asyncio.wait_for(self._consumer.start(), self._join_s)
        except TimeoutError:
            self._end("the group did not take it in in time")

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """A turn goes on: its commit is refused where it comes too late."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._committed = {}

    async def on_stop(self) -> None:
        # A turn that has sent its records away must commit them, or they are returned twice.
        try:
            await asyncio.wait_for(self._in_turn.acquire(), COMMIT_TIMEOUT_S)
        except TimeoutError:
            log.warning("a turn did not end in time; its records will be returned again")
        await self._consumer.stop()

    @Service.task
    async def _serve(self) -> None:
        try:
            await asyncio.gather(self._serve_until_stopped(), self._ask_ends())
        except Exception as error:
            log.critical("the retry role cannot go on", exc_info=error)
            self._end(f"{type(error).__name__}: {error}")

    async def _serve_until_stopped(self) -> None:
        while not self.should_stop:
            now_ms = self._clock_ms()
            self._show(now_ms)
            if self._halt.reason:
                await self._hold()
                continue
            self._resume(now_ms)
            polled = await self._consumer.getmany(timeout_ms=self._poll_ms(now_ms), max_records=AT_ONCE)
            if polled and not self._halt.reason:
                async with self._in_turn:
                    await self._turn(polled)

    async def _hold(self) -> None:
        """Keep the partitions and return nothing: whoever else had them might take what has grown since for sound."""
        self._consumer.pause(*self._consumer.assignment())
        try:
            # Of partitions that have just come, some may be there; nothing is committed for them.
            await self._consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
        except KafkaError as error:
            log.info("the retry role has halted, and cannot poll", reason=repr(error))
            await self.sleep(SHOW_EVERY_S)

    def _show(self, now_ms: int) -> None:
        if time.monotonic() < self._show_at:
            return
        self._show_at = time.monotonic() + SHOW_EVERY_S
        waiting, overdue_ms = dict.fromkeys(self._tiers, 0), dict.fromkeys(self._tiers, 0)
        assigned = self._consumer.assignment()
        self._patience.forget_all_but(assigned)
        # Somebody else may have been there before a partition comes back.
        self._position = {tp: offset for tp, offset in self._position.items() if tp in assigned}
        self._due = {tp: due_ms for tp, due_ms in self._due.items() if tp in assigned}
        for tp in assigned:
            # The broker's word counts too: a consumer that has died does not know that there is more to read.
            end = max(self._consumer.highwater(tp) or 0, self._ends.get(tp, 0))
            left = end - self._position.get(tp, end)
            waiting[tp.topic] += left
            due_ms = self._due.get(tp, now_ms)
            self._patience.look(tp, self._position.get(tp), has_work=left > 0 and due_ms <= now_ms)
            if left:
                overdue_ms[tp.topic] = max(overdue_ms[tp.topic], now_ms - due_ms)
            else:
                self._due.pop(tp, None)
        if self._patience.is_over() and not self._halt.reason:
            self._end("what is due is not returned")
        for topic, records in waiting.items():
            self._metrics.waiting(self._tiers[topic], records=records, overdue_s=overdue_ms[topic] / 1000)

    async def _ask_ends(self) -> None:
        while not self.should_stop:
            assigned = self._consumer.assignment()
            committed = {tp: offset for tp, offset in self._committed.items() if tp in assigned}
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    self._ends = dict(await self._consumer.end_offsets(assigned))
                    # A partition that is paused does not find out by itself.
                    self._loss.compare(committed, self._ends)
                    # Its own, not what was read last: somebody else may have been there, or retention.
                    self._position.update({tp: await self._consumer.position(tp) for tp in assigned})
            except (KafkaError, TimeoutError) as error:
                log.info("the broker does not tell where partitions end", reason=repr(error))
            await self.sleep(ASK_EVERY_S)

    def _poll_ms(self, now_ms: int) -> int:
        soonest = min(self._paused_until.values(), default=now_ms + POLL_MS)
        return max(1, min(POLL_MS, soonest - now_ms))

    def _resume(self, now_ms: int) -> None:
        due = [tp for tp, until in self._paused_until.items() if until <= now_ms]
        for tp in due:
            del self._paused_until[tp]
        # A rebalance undoes pauses by itself, and may have taken the partition away.
        self._consumer.resume(*(set(due) & self._consumer.assignment()))

    async def _look_for_loss(self, polled: Mapping[TopicPartition, Sequence[FetchedRecord]]) -> None:
        """Halts the worker where it finds one. Raises KafkaError, TimeoutError."""
        committed = self._committed
        for tp, read in polled.items():
            if read[0].offset < (known := committed.get(tp, 0)):
                self._loss.went_back(tp, read[0].offset, known)
        if self._halt.reason:
            return
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            new = {tp: await self._consumer.committed(tp) or 0 for tp in polled.keys() - committed.keys()}
            # Asked after it was read: somebody else may have had the partition meanwhile, and got further.
            again = {tp: offset for tp, offset in new.items() if polled[tp][0].offset < offset}
            ends = await self._consumer.end_offsets(again) if again else {}
        self._loss.compare(again, ends)
        committed.update((tp, offset) for tp, offset in new.items() if tp not in again)

    async def _turn(self, polled: dict[TopicPartition, Sequence[FetchedRecord]]) -> None:
        committed = self._committed
        await self._look_for_loss(polled)
        if self._halt.reason:
            return
        now_ms = self._clock_ms()
        returned: list[Record] = []
        offsets: dict[TopicPartition, int] = {}
        for tp, records in polled.items():
            waits = [self._read(record) for record in records]
            ready = next((index for index, (due_ms, _) in enumerate(waits) if due_ms > now_ms), len(waits))
            if ready:
                returned += [record for _, record in waits[:ready]]
                offsets[tp] = records[ready - 1].offset + 1
                self._metrics.consumed(tp.topic, ready)
            self._position[tp] = records[ready].offset if ready < len(waits) else records[-1].offset + 1
            # What cannot be read is due at once, and says nothing of the time.
            self._due[tp] = waits[min(ready, len(waits) - 1)][0] or now_ms
            if ready < len(waits):
                self._wait(tp, records[ready].offset, waits[ready][0])
        await self._out.send_all(returned)
        # A turn that was cut off may outlast its assignment and the next, in which others have got further.
        if offsets and committed is self._committed:
            committed.update(await self._commit(offsets))

    def _wait(self, tp: TopicPartition, offset: int, due_ms: int) -> None:
        try:
            self._consumer.seek(tp, offset)
            self._consumer.pause(tp)
        except IllegalStateError:
            log.info("partition was taken away", topic=tp.topic, partition=tp.partition)
        else:
            self._paused_until[tp] = due_ms

    async def _commit(self, offsets: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Returns what the broker has taken: all of it or nothing."""
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), COMMIT_TIMEOUT_S)
        except (CommitFailedError, IllegalStateError):
            # Whoever has the partitions now returns these records again; the attempt in their headers tells repeats.
            log.warning("commit came too late, records will be returned again", records=len(offsets))
            return {}
        return offsets
