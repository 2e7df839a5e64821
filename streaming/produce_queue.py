"""How do batches reach their brokers? One request at a time to each, with all that was gathered for it meanwhile.

aiokafka connects, knows who leads which partition, and speaks the protocol. Its own producer would keep a batch for as
long as the broker is away; here one that has grown stale is not sent any more, which is looked at with nothing awaited
between that and the write, so that a process that was frozen in the meantime sees it, too.

Acks from all replicas, and ids and sequence numbers by which a broker knows what it has: a batch that goes out again
for want of an answer is there once. One that nobody can tell about any more takes the id with it.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import DuplicateSequenceNumber, KafkaError, NodeNotReadyError, NoError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import TopicPartition

from streaming.batch import Batch, ProducerId, Record

log = structlog.get_logger(__name__)

UNTOLD = -1
"""The offset of what the broker had already, when it was sent again for want of an answer: it may not say where."""

ALL_REPLICAS = -1
NO_TRANSACTION_MS = 2**31 - 1
SEQUENCES = 2**31
REQUEST_TIMEOUT_S = 30.0
METADATA_MAX_AGE_S = 60.0
MAX_REQUEST_BYTES = 16 << 20
# What waits for its broker: callers wait with more.
MAX_WAITING_BYTES = 64 << 20

LOOK_AGAIN_S = 0.05
PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


class ProduceFailed(Exception):
    """The broker did not acknowledge a batch in time: nothing that stands on it may be committed."""


class TimedOut(ProduceFailed):
    """Records of the batch waited too long to be sent, or for the broker's word; some of it may be there."""


@dataclass(slots=True)
class Link:
    """The way to a broker; ``next_at`` is when a request may begin, ``pause_s`` for how long a failure held it up."""

    is_busy: bool = False
    next_at: float = 0.0
    pause_s: float = 0.0

    def pause(self, now: float) -> None:
        self.pause_s = _longer(self.pause_s)
        self.next_at = now + self.pause_s


def _longer(pause_s: float) -> float:
    return min(max(2 * pause_s, PAUSE_S), LONGEST_PAUSE_S)


class ProduceQueue:
    """For the loop that it was made on. A batch is not sent any more ``stale_after_s`` after it was begun.

    What comes after a pause goes out at once; then for ``gather_s`` nothing does, so that the next request has more.
    """

    def __init__(self, kafka: str, *, gather_s: float, stale_after_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._gather_s = gather_s
        self._stale_after_s = stale_after_s
        self._request_timeout_s = min(REQUEST_TIMEOUT_S, stale_after_s)
        self._client = AIOKafkaClient(
            bootstrap_servers=kafka.split(","),
            client_id="herald",
            metadata_max_age_ms=round(METADATA_MAX_AGE_S * 1000),
            request_timeout_ms=round(self._request_timeout_s * 1000),
        )
        self._id: ProducerId | None = None
        self._sequences: dict[TopicPartition, int] = defaultdict(int)
        # By partition, the first of them the next; what is on its way stays there until it is settled.
        self._waiting: dict[TopicPartition, deque[Batch]] = {}
        self._bytes = 0
        self._under_way: set[TopicPartition] = set()
        self._links: dict[int, Link] = defaultdict(Link)
        self._trouble = "the broker has not answered"
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: ProduceFailed | None = None
        self._connecting = self._spawn(self._connect())

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many each topic has, once there is room for more. Raises ProduceFailed, TimedOut."""
        give_up_at = self._loop.time() + self._stale_after_s
        while True:
            if self._broken is not None:
                raise ProduceFailed(str(self._broken))
            found = {topic: len(self._client.cluster.partitions_for_topic(topic) or ()) for topic in topics}
            unknown = [topic for topic, partitions in found.items() if not partitions]
            if not unknown and self._bytes < MAX_WAITING_BYTES:
                return found
            if self._loop.time() > give_up_at:
                raise TimedOut(f"{', '.join(unknown) or 'the line'}: {self._trouble}")
            for topic in unknown:
                self._client.add_topic(topic)
                self._client.force_metadata_update()
            await asyncio.sleep(LOOK_AGAIN_S)

    def add(self, tp: TopicPartition, records: Sequence[Record], at_ms: int) -> list[Batch]:
        """Put them at the end of the partition's line. Returns the batches that they are in, in order.

        Raises ProduceFailed for a record that no broker takes.
        """
        now = self._loop.time()
        line = self._waiting.get(tp)
        if line is None:
            line = self._waiting[tp] = deque()
        batches: list[Batch] = []
        while records:
            if not line or not line[-1].is_open:
                line.append(Batch(tp, now))
            batch = line[-1]
            before = batch.bytes
            if taken := batch.take(records, at_ms):
                batches.append(batch)
                records = records[taken:] if taken < len(records) else ()
            self._bytes += batch.bytes - before
            if batch.bytes > MAX_REQUEST_BYTES:
                # It is alone in its batch.
                self._bytes -= line.pop().bytes
                if not line:
                    del self._waiting[tp]
                raise ProduceFailed(f"a record for {tp.topic} of {batch.bytes} bytes is too large")
        self._look_by(now)
        return batches

    async def stop(self, timeout_s: float) -> None:
        """Wait for what is under way; what is left then has failed."""
        give_up_at = self._loop.time() + timeout_s
        while (batch := self._any()) is not None and self._loop.time() < give_up_at:
            await asyncio.wait([batch.settled], timeout=give_up_at - self._loop.time())
        self._break(ProduceFailed("the producer has been stopped"))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._client.close(), timeout_s)

    def _any(self) -> Batch | None:
        return next((line[0] for line in self._waiting.values()), None)

    def _look_by(self, at: float) -> None:
        if self._timer is not None:
            if self._look_at <= at:
                return
            self._timer.cancel()
        self._look_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """Begin whatever can be begun now, and look again when something else may have changed."""
        self._timer = None
        try:
            self._begin()
        except Exception as bug:  # noqa: BLE001 nobody awaits a timer
            self._fail(bug)

    def _begin(self) -> None:
        """A request to each broker that has none and that something is due for."""
        now = self._loop.time()
        self._expire(now)
        if not self._waiting:
            return
        self._look_by(now + self._stale_after_s / 2)
        if self._id is None:
            if self._connecting.done():
                self._connecting = self._spawn(self._connect())
            return
        for tp in self._waiting.keys() - self._under_way:
            leader = self._leader(tp)
            if leader is None:
                self._client.force_metadata_update()
                self._look_by(now + LOOK_AGAIN_S)
            elif not (link := self._links[leader]).is_busy:
                if link.next_at > now:
                    self._look_by(link.next_at)
                else:
                    link.is_busy = True
                    self._spawn(self._request(leader, link))

    def _leader(self, tp: TopicPartition) -> int | None:
        leader: int | None = self._client.cluster.leader_for_partition(tp)
        return leader if leader is not None and leader >= 0 else None

    async def _request(self, broker: int, link: Link) -> None:
        batches: dict[TopicPartition, Batch] = {}
        try:
            if not await self._client.ready(broker):
                raise NodeNotReadyError(f"broker {broker} cannot be reached")
            # From here until it is written nothing is awaited: what is not stale here is not stale there.
            now = self._loop.time()
            self._expire(now)
            if batches := self._next(broker):
                self._under_way.update(batches)
                link.next_at = now + self._gather_s
                response = await self._client.send(broker, self._produce(batches))
                if self._broken is None:
                    self._settle(response)
            link.pause_s = 0.0
        except KafkaError as error:
            self._trouble = str(error) or type(error).__name__
            log.warning("Kafka has not taken a request, it is sent again", broker=broker, reason=self._trouble)
            if getattr(error, "invalid_metadata", False):
                self._client.force_metadata_update()
            link.pause(self._loop.time())
        finally:
            link.is_busy = False
            self._under_way.difference_update(batches)
        self._look_by(self._loop.time())

    def _next(self, broker: int) -> dict[TopicPartition, Batch]:
        """The first batch of each partition that the broker leads, as many as a request may have."""
        batches: dict[TopicPartition, Batch] = {}
        size = 0
        for tp, line in self._waiting.items():
            if tp in self._under_way or self._id is None or self._leader(tp) != broker:
                continue
            batch = line[0]
            if size and size + batch.bytes > MAX_REQUEST_BYTES:
                continue
            size += batch.bytes
            batches[tp] = batch
            if batch.written_as is None:
                batch.close(self._id, self._sequences[tp])
                self._sequences[tp] = (self._sequences[tp] + batch.records) % SEQUENCES
        return batches

    def _produce(self, batches: Mapping[TopicPartition, Batch]) -> ProduceRequest:
        topics: dict[str, list[tuple[int, bytearray]]] = defaultdict(list)
        for tp, batch in batches.items():
            topics[tp.topic].append((tp.partition, batch.written))
        return ProduceRequest(
            transactional_id=None,
            required_acks=ALL_REPLICAS,
            timeout=round(self._request_timeout_s * 1000),
            topics=list(topics.items()),
        )

    def _settle(self, response: Any) -> None:
        """Raises the KafkaError for which some of them are to be sent again."""
        again: KafkaError | None = None
        for topic, partitions in response.topics:
            for partition, code, offset, *_ in partitions:
                tp = TopicPartition(topic, partition)
                error = for_code(code)
                if error is NoError:
                    self._remove(tp).settle(offset)
                elif error is DuplicateSequenceNumber:
                    self._remove(tp).settle(UNTOLD)
                elif error.retriable:
                    again = error(f"{topic}-{partition}: {error.__name__}")
                else:
                    # Its sequence numbers are gone with it.
                    self._forget_id()
                    self._remove(tp).fail(ProduceFailed(f"{topic}-{partition}: {error.__name__}"))
        if again is not None:
            raise again

    def _remove(self, tp: TopicPartition) -> Batch:
        line = self._waiting[tp]
        batch = line.popleft()
        if not line:
            del self._waiting[tp]
        self._bytes -= batch.bytes
        return batch

    def _expire(self, now: float) -> None:
        stale = now - self._stale_after_s
        here = [(tp, line) for tp, line in self._waiting.items() if tp not in self._under_way]
        if any(line[0].since <= stale and line[0].written_as is not None for _, line in here):
            self._forget_id()
        for tp, line in here:
            while line and (line[0].since <= stale or line[0].written_as not in (None, self._id)):
                self._remove(tp).fail(TimedOut(f"{tp.topic}-{tp.partition}: {self._trouble}"))

    def _forget_id(self) -> None:
        """Whether a batch of it has arrived will not be known: what follows could not be told from what is missing."""
        self._id = None
        self._sequences.clear()

    async def _connect(self) -> None:
        pause_s = 0.0
        while True:
            try:
                if pause_s or not self._client.cluster.brokers():
                    # Also where they have been known: all of them may have moved since.
                    await self._client.bootstrap()
                self._id = await self._new_id()
                break
            except KafkaError as error:
                self._trouble = str(error) or type(error).__name__
                log.warning("Kafka does not answer the producer", reason=self._trouble)
                pause_s = _longer(pause_s)
                await asyncio.sleep(pause_s)
        self._look_by(self._loop.time())

    async def _new_id(self) -> ProducerId:
        broker = self._client.get_random_node()
        if broker is None:
            raise NodeNotReadyError("Kafka tells of no broker")
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=NO_TRANSACTION_MS)
        response = await self._client.send(broker, request)
        error = for_code(response.error_code)
        if error is not NoError:
            raise error(f"no producer id: {error.__name__}")
        return ProducerId(response.producer_id, response.producer_epoch)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._fail(bug)

    def _fail(self, bug: BaseException) -> None:
        log.critical("the producer cannot go on", exc_info=bug)
        self._break(ProduceFailed(f"{type(bug).__name__}: {bug}"))

    def _break(self, error: ProduceFailed) -> None:
        """Nothing is sent any more, and whoever waits hears of it."""
        self._broken = self._broken or error
        while self._waiting:
            self._remove(next(iter(self._waiting))).fail(error)
