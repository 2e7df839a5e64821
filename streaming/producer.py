"""How does a record leave this worker? In a batch of its partition, awaited until the broker has it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aiokafka.structs import TopicPartition

from streaming.batch import Batch, Headers, Record
from streaming.lease import seconds_awake_or_not
from streaming.partitioner import partitions_of
from streaming.produce_queue import MAX_RECORD_BYTES, UNTOLD, ProduceFailed, ProduceQueue, TimedOut

__all__ = ["MAX_RECORD_BYTES", "UNTOLD", "Headers", "ProduceFailed", "Producer", "Record", "RecordSink", "TimedOut"]

DELIVERY_TIMEOUT_S = 60.0


class RecordSink(Protocol):
    """Where agents put what they produce."""

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]: ...


class Producer:
    """One per process; ``send_all`` may be called concurrently, and order is kept per partition.

    ``on_produced`` is told how many records of a topic the broker has acknowledged. A record that could not be sent
    for ``stale_after_s`` is not sent any more.
    """

    def __init__(
        self,
        kafka: str,
        *,
        on_produced: Callable[[str, int], None],
        stale_after_s: float = DELIVERY_TIMEOUT_S,
        gather_s: float = 0.005,
    ) -> None:
        self._kafka = kafka
        self._on_produced = on_produced
        self._stale_after_s = stale_after_s
        self._gather_s = gather_s
        self._queue: ProduceQueue | None = None

    def start(self) -> None:
        """On the loop that ``send_all`` is called on."""
        self._queue = ProduceQueue(self._kafka, gather_s=self._gather_s, stale_after_s=self._stale_after_s)

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """Produce every record and return once the broker has acknowledged all of them.

        Returns the highest offset for each partition number, which means something where all the records go to one
        topic, or `UNTOLD`. Waits where too much is under way. Raises TimedOut, ProduceFailed.
        """
        if not records:
            return {}
        queue = self._queue
        if queue is None:
            raise ProduceFailed("the producer has not been started, or has been stopped")
        since = seconds_awake_or_not()
        _refuse_large(records)
        counts = Counter([record.topic for record in records])
        partitions = await queue.enter(counts, since)
        now_ms = round(time.time() * 1000)
        batches: list[Batch] = []
        last: dict[int, tuple[Batch, int]] = {}
        for tp, some in _by_partition(records, partitions).items():
            batches += queue.add(tp, some, now_ms, since)
            last[tp.partition] = batches[-1], batches[-1].count - 1
        await asyncio.wait([batch.settled for batch in batches])
        _raise_any(batches)
        for topic, count in counts.items():
            self._on_produced(topic, count)
        return {partition: _offset(batch, place) for partition, (batch, place) in last.items()}

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Wait for what is under way; nothing can be sent afterwards, and whoever still waits hears that it failed."""
        queue, self._queue = self._queue, None
        if queue is not None:
            await queue.stop(timeout_s)


def _refuse_large(records: Sequence[Record]) -> None:
    """Before any of them is on its way."""
    if (largest := max([len(record.value or b"") for record in records])) > MAX_RECORD_BYTES:
        raise ProduceFailed(f"a record of {largest} bytes is too large")


def _by_partition(
    records: Sequence[Record], partitions: Mapping[str, int]
) -> Mapping[TopicPartition, Sequence[Record]]:
    """In their order, each with those that go where it goes."""
    keys: dict[str, list[bytes | None]] = defaultdict(list)
    for one in records:
        if one.partition < 0:
            keys[one.topic].append(one.key)
    chosen = {topic: iter(partitions_of(some, partitions[topic])) for topic, some in keys.items()}
    placed: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for one in records:
        partition = one.partition
        placed[one.topic, next(chosen[one.topic]) if partition < 0 else partition].append(one)
    return {TopicPartition(*tp): line for tp, line in placed.items()}


def _raise_any(batches: Sequence[Batch]) -> None:
    """A failure that is no timeout stands for all: it will not pass."""
    timed_out: TimedOut | None = None
    for batch in batches:
        match batch.settled.exception():
            case TimedOut() as error:
                timed_out = error
            case ProduceFailed() as error:
                raise error
    if timed_out is not None:
        raise timed_out


def _offset(batch: Batch, place: int) -> int:
    first = batch.settled.result()
    return UNTOLD if first == UNTOLD else first + place
