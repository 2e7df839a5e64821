"""How do batches reach their brokers? One request at a time to each, with all that was gathered for it meanwhile.

aiokafka's own producer would keep a batch for as long as the broker is away; here one that has grown stale is not sent
any more. That is looked at when the request is encoded, so that a process that was frozen on the way there sees it too.
What is encoded still goes: mostly the system has it at once, and what it had no room for goes when the process wakes.

Acks from all replicas, and sequence numbers by which a broker knows what it has: a batch that goes out again for want
of an answer is there once. Where one is given up that may have arrived, its partition begins a new epoch: its numbers
would be missed otherwise, and if it comes after all, it is refused behind what is newer.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka.errors import DuplicateSequenceNumber, KafkaError, NoError, RequestTimedOutError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from streaming.batch import Batch, Record
from streaming.brokers import Brokers
from streaming.lease import seconds_awake_or_not

log = structlog.get_logger(__name__)

UNTOLD = -1
"""The offset of what the broker had already, when it was sent again for want of an answer: it may not say where."""

ALL_REPLICAS = -1
SEQUENCES = 2**31
LAST_EPOCH = 2**15 - 1

# A record alone may have so much. What goes together is less: as much as a system has room for, once it is compressed.
MAX_RECORD_BYTES = 16 << 20
MAX_REQUEST_BYTES = 4 << 20
# What waits, for all brokers together: whoever has more waits to be let in.
MAX_WAITING_BYTES = 32 << 20

# An answer that is lost must be missed while there is time to ask again; the broker gives up before that, and says so.
REQUESTS_BEFORE_STALE = 3
BROKERS_SHARE = 0.8

NO_TROUBLE = "the broker has not answered"

LOOK_AGAIN_S = 0.05
PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
CANCEL_TIMEOUT_S = 2.0
# uvloop's clock goes by milliseconds: sooner, a timer would fire before its time has come.
TICK_S = 0.001


class ProduceFailed(Exception):
    """Nobody knows that the records are there: nothing that stands on them may be committed."""


class TimedOut(ProduceFailed):
    """Records of the batch waited too long to be sent, or for the broker's word; some of it may be there."""


@dataclass(slots=True, kw_only=True)
class Backoff:
    """When the next attempt may begin (loop time), and the pause after the last one if it failed."""

    next_at: float = 0.0
    pause_s: float = 0.0

    def failed(self, now: float) -> None:
        self.pause_s = _longer(self.pause_s)
        self.next_at = now + self.pause_s


@dataclass(slots=True, kw_only=True)
class Link(Backoff):
    """The way to a broker."""

    is_busy: bool = False


@dataclass(slots=True, kw_only=True)
class Line(Backoff):
    """What waits for a partition, the next first; what is under way stays first until it is settled."""

    tp: TopicPartition
    batches: deque[Batch] = field(default_factory=deque)
    is_under_way: bool = False
    epoch: int = 0
    sequence: int = 0


class TimelyRequest(ProduceRequest):  # type: ignore[misc]  # aiokafka has no types here
    """Is not encoded any more once it is ``stale_at``, by the lease's clock. Raises RequestTimedOutError then."""

    def __init__(self, lines: Sequence[Line], *, stale_at: float, timeout_ms: int) -> None:
        topics: dict[str, list[tuple[int, bytearray]]] = defaultdict(list)
        for line in lines:
            topics[line.tp.topic].append((line.tp.partition, line.batches[0].written))
        super().__init__(None, ALL_REPLICAS, timeout_ms, list(topics.items()))
        self._stale_at = stale_at

    def build(self, request_struct_class: Any) -> Any:
        if seconds_awake_or_not() >= self._stale_at:
            raise RequestTimedOutError("stale before it could be written")
        return super().build(request_struct_class)


class ProduceQueue:
    """For the loop that it was made on. A batch is not sent any more ``stale_after_s`` after the first of its records
    was handed over, by the clock of `streaming.lease`: that of the loop may stand still while the machine is suspended.

    What comes after a pause goes out at once; then for ``gather_s`` nothing does, so that the next request has more.
    """

    def __init__(self, kafka: str, *, gather_s: float, stale_after_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._gather_s = gather_s
        self._stale_after_s = stale_after_s
        self._request_timeout_s = stale_after_s / REQUESTS_BEFORE_STALE
        self._brokers = Brokers(kafka, request_timeout_s=self._request_timeout_s, on_end=self._on_done)
        self._producer_id: int | None = None
        self._lines: dict[TopicPartition, Line] = {}
        # Those that hold something.
        self._waiting: dict[TopicPartition, Line] = {}
        self._bytes = 0
        self._entrances: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Lock()
        self._links: dict[int, Link] = defaultdict(Link)
        self._trouble = NO_TROUBLE
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: ProduceFailed | None = None
        self._closing: asyncio.Task[None] | None = None
        self._spawn(self._connect())

    async def enter(self, topics: Collection[str], since: float) -> Mapping[str, int]:
        """How many partitions each topic has, once they are all known and not too much waits for the brokers.

        Whoever has something for the same topic comes in behind whoever came before. Raises ProduceFailed, TimedOut
        once it is too late for what came at ``since``.
        """
        async with AsyncExitStack() as entrances:
            # All in one order, or two of them would wait for each other.
            for topic in sorted(topics):
                await entrances.enter_async_context(self._entrances[topic])
            while True:
                self._refuse_late(since)
                found = self._brokers.partitions(topics)
                if all(found.values()):
                    break
                self._trouble = f"Kafka does not tell of {', '.join(one for one in topics if not found[one])}"
                await asyncio.sleep(LOOK_AGAIN_S)
            await entrances.enter_async_context(self._room)
            while self._bytes >= MAX_WAITING_BYTES:
                self._refuse_late(since)
                await asyncio.sleep(LOOK_AGAIN_S)
        return found

    def add(self, tp: TopicPartition, records: Sequence[Record], at_ms: int, since: float) -> list[Batch]:
        """Put them at the end of the partition's line. Returns the batches that they are in, in order.

        ``since`` is when they were handed over, by the lease's clock. Raises ProduceFailed after the end, which a
        record that cannot be encoded brings about: others share its batch.
        """
        if self._broken is not None:
            raise ProduceFailed(str(self._broken))
        line = self._lines.get(tp)
        if line is None:
            line = self._lines[tp] = Line(tp=tp)
        self._waiting[tp] = line
        batches: list[Batch] = []
        while records:
            if not line.batches or not line.batches[-1].is_open:
                line.batches.append(Batch(since))
            batch = line.batches[-1]
            before = batch.bytes
            try:
                taken = batch.take(records, at_ms)
            except Exception as bug:
                self._end_by_bug(bug)
                raise ProduceFailed(str(self._broken)) from bug
            if taken:
                batch.since = min(batch.since, since)
                batches.append(batch)
                records = records[taken:] if taken < len(records) else ()
            self._bytes += batch.bytes - before
        self._look_by(self._loop.time())
        return batches

    async def stop(self, timeout_s: float) -> None:
        """Wait for what is under way; what is left then has failed, and is not written any further."""
        give_up_at = self._loop.time() + timeout_s
        try:
            while self._waiting and (left_s := give_up_at - self._loop.time()) > 0:
                await asyncio.wait([next(iter(self._waiting.values())).batches[0].settled], timeout=left_s)
        finally:
            # Also for whoever breaks it off.
            self._closing = self._loop.create_task(self._close())
        await self._closing

    async def _close(self) -> None:
        if self._waiting:
            self._brokers.cut_off()
        self._end(ProduceFailed("the producer has been stopped"))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_TIMEOUT_S)
        await self._brokers.close()

    def _refuse_late(self, since: float) -> None:
        if self._broken is not None:
            raise ProduceFailed(str(self._broken))
        if seconds_awake_or_not() - since >= self._stale_after_s:
            raise TimedOut(self._trouble)

    def _look_by(self, at: float) -> None:
        """Look at the latest then what there is to do."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._begin_requests()
        except Exception as bug:  # noqa: BLE001 nobody awaits a timer
            self._end_by_bug(bug)

    def _begin_requests(self) -> None:
        """One to each broker that has none and that something is due for."""
        now = self._loop.time()
        stale = self._expire()
        for line in self._waiting.values():
            if line.is_under_way:
                continue
            self._look_by(now + max(line.batches[0].since - stale, TICK_S))
            leader = self._brokers.leader(line.tp)
            if self._producer_id is None:
                continue
            if leader is None:
                self._brokers.look_again()
                self._look_by(now + LOOK_AGAIN_S)
            elif not (link := self._links[leader]).is_busy:
                due_at = max(link.next_at, line.next_at)
                if due_at > now:
                    self._look_by(max(due_at, now + TICK_S))
                else:
                    link.is_busy = True
                    self._spawn(self._request(leader, link))

    async def _request(self, broker: int, link: Link) -> None:
        lines: list[Line] = []
        try:
            await self._brokers.reach(broker)
            self._expire()
            now = self._loop.time()
            if lines := self._due(broker, now):
                for line in lines:
                    line.is_under_way = True
                    # Behind those that there was no room for.
                    self._waiting[line.tp] = self._waiting.pop(line.tp)
                link.next_at = now + self._gather_s
                request = TimelyRequest(
                    lines,
                    stale_at=min(line.batches[0].since for line in lines) + self._stale_after_s,
                    timeout_ms=round(self._request_timeout_s * BROKERS_SHARE * 1000),
                )
                response = await self._brokers.send(broker, request)
                self._settle(broker, response)
            link.pause_s = 0.0
        except KafkaError as error:
            self._again(broker, str(error) or type(error).__name__)
            link.failed(self._loop.time())
        finally:
            link.is_busy = False
            for line in lines:
                line.is_under_way = False
        self._look_by(self._loop.time())

    def _due(self, broker: int, now: float) -> list[Line]:
        """Those that the broker leads, as many as a request may have, each with a first batch that can be written."""
        assert self._producer_id is not None, "nothing is requested before there is one"
        lines: list[Line] = []
        size = 0
        for line in self._waiting.values():
            if line.is_under_way or line.next_at > now or self._brokers.leader(line.tp) != broker:
                continue
            batch = line.batches[0]
            if size and size + batch.bytes > MAX_REQUEST_BYTES:
                continue
            size += batch.bytes
            if not batch.is_written:
                batch.close(self._producer_id, line.epoch, line.sequence)
                line.sequence = (line.sequence + batch.count) % SEQUENCES
            lines.append(line)
        return lines

    def _settle(self, broker: int, response: Any) -> None:
        again: list[str] = []
        for topic, partitions in response.topics:
            for partition, code, offset, *_ in partitions:
                if self._broken is not None:
                    return
                line = self._lines[TopicPartition(topic, partition)]
                error = for_code(code)
                problem = f"{topic}-{partition}: {error.__name__} ({code})"
                if error in (NoError, DuplicateSequenceNumber):
                    line.pause_s = 0.0
                    self._remove_first(line).settle(offset if error is NoError else UNTOLD)
                elif error.retriable:
                    line.failed(self._loop.time())
                    again.append(problem)
                    if error.invalid_metadata:
                        self._brokers.look_again()
                else:
                    self._give_up_first(line, ProduceFailed(problem))
        self._trouble = NO_TROUBLE
        if again:
            self._again(broker, "; ".join(again))

    def _again(self, broker: int, trouble: str) -> None:
        self._trouble = trouble
        log.warning("Kafka has not taken what is to be sent, and is asked again", broker=broker, reason=trouble)

    def _remove_first(self, line: Line) -> Batch:
        batch = line.batches.popleft()
        if not line.batches:
            del self._waiting[line.tp]
        self._bytes -= batch.bytes
        return batch

    def _give_up_first(self, line: Line, error: ProduceFailed) -> None:
        batch = self._remove_first(line)
        batch.fail(error)
        if batch.is_written:
            line.epoch, line.sequence = line.epoch + 1, 0
            if line.epoch > LAST_EPOCH:
                self._end(ProduceFailed(f"{line.tp.topic}-{line.tp.partition} has had all epochs"))

    def _expire(self) -> float:
        """Give up what is stale. Returns the time at or before which something is."""
        stale = seconds_awake_or_not() - self._stale_after_s
        for line in list(self._waiting.values()):
            while line.batches and line.batches[0].since <= stale and not line.is_under_way:
                self._give_up_first(line, TimedOut(f"{line.tp.topic}-{line.tp.partition}: {self._trouble}"))
        return stale

    async def _connect(self) -> None:
        pause_s = 0.0
        while self._producer_id is None:
            try:
                self._producer_id = await self._brokers.new_producer_id()
            except KafkaError as error:
                self._trouble = str(error) or type(error).__name__
                log.warning("Kafka does not answer the producer", reason=self._trouble)
                pause_s = _longer(pause_s)
                await asyncio.sleep(pause_s)
        self._look_by(self._loop.time())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._end_by_bug(bug)

    def _end_by_bug(self, bug: BaseException) -> None:
        log.critical("the producer cannot go on", exc_info=bug)
        self._end(ProduceFailed(f"{type(bug).__name__}: {bug}"))

    def _end(self, error: ProduceFailed) -> None:
        """Nothing is sent any more, and whoever waits hears of it."""
        self._broken = self._broken or error
        if self._timer is not None:
            self._timer.cancel()
        for line in list(self._waiting.values()):
            while line.batches:
                self._remove_first(line).fail(error)


def _longer(pause_s: float) -> float:
    return min(max(2 * pause_s, PAUSE_S), LONGEST_PAUSE_S)
