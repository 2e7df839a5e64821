"""How does a record leave this worker? In a batch of its partition, awaited until the broker has it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aiokafka.structs import TopicPartition

from streaming.batch import Batch, Headers, Record
from streaming.partitioner import partitions_of
from streaming.produce_queue import MAX_REQUEST_BYTES, UNTOLD, ProduceFailed, ProduceQueue, TimedOut

__all__ = ["MAX_REQUEST_BYTES", "UNTOLD", "Headers", "ProduceFailed", "Producer", "Record", "RecordSink", "TimedOut"]

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
        if self._queue is None:
            raise ProduceFailed("the producer has not been started, or has been stopped")
        counts = Counter([record.topic for record in records])
        partitions = await self._queue.partitions(counts)
        now_ms = round(time.time() * 1000)
        batches: list[Batch] = []
        last: dict[int, tuple[Batch, int]] = {}
        for tp, some in _by_partition(records, partitions).items():
            batches += self._queue.add(tp, some, now_ms)
            last[tp.partition] = batches[-1], batches[-1].records - 1
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


def _by_partition(
    records: Sequence[Record], partitions: Mapping[str, int]
) -> Mapping[TopicPartition, Sequence[Record]]:
    """In their order, each with those that go where it goes."""
    by_topic: dict[str, list[Record]] = defaultdict(list)
    placed: dict[TopicPartition, list[Record]] = defaultdict(list)
    for one in records:
        if one.partition < 0:
            by_topic[one.topic].append(one)
        else:
            placed[TopicPartition(one.topic, one.partition)].append(one)
    for topic, keyed in by_topic.items():
        lines = [placed[TopicPartition(topic, partition)] for partition in range(partitions[topic])]
        for one, partition in zip(keyed, partitions_of([one.key for one in keyed], len(lines)), strict=True):
            lines[partition].append(one)
    return {tp: line for tp, line in placed.items() if line}


def _raise_any(batches: Sequence[Batch]) -> None:
    """One failure of a kind that is not known stands for all."""
    errors = {type(error): error for batch in batches if (error := batch.settled.exception()) is not None}
    if errors:
        raise errors.get(ProduceFailed) or errors[TimedOut]


def _offset(batch: Batch, place: int) -> int:
    first = batch.settled.result()
    return UNTOLD if first == UNTOLD else first + place
