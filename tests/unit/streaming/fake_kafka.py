"""Brokers that do what a test says, in place of aiokafka's client."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

Written = dict[TopicPartition, bytes]
# What a broker says to a request: a code for each partition, or an exception. None: it takes everything.
Answer = Callable[[Written], dict[TopicPartition, int]] | Exception | None


class FakeKafka:
    """``answers`` are given in turn, by broker; then every request is taken. ``silent`` brokers never answer."""

    def __init__(self, partitions: dict[str, int], leaders: dict[TopicPartition, int] | None = None) -> None:
        self.partitions = partitions
        self.leaders = leaders or {}
        self.answers: dict[int, deque[Answer]] = {}
        self.unreachable: set[int] = set()
        self.silent: set[int] = set()
        self.is_up = True
        self.requests: list[tuple[int, Written]] = []
        self.ids = 0
        self.metadata_updates = 0
        self.ends: dict[TopicPartition, int] = {}
        self.is_closed = False
        self.cluster = self

    def __call__(self, **settings: Any) -> "FakeKafka":
        self.settings = settings
        return self

    # What is asked of the cluster.

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.partitions[topic])) if self.is_up and topic in self.partitions else None

    def leader_for_partition(self, tp: TopicPartition) -> int | None:
        return self.leaders.get(tp, 1)

    def brokers(self) -> Sequence[int]:
        return [1] if self.is_up else []

    def get_random_node(self) -> int | None:
        return 1 if self.is_up else None

    # What is asked of the client.

    def add_topic(self, topic: str) -> None:
        pass

    def force_metadata_update(self) -> None:
        self.metadata_updates += 1

    async def bootstrap(self) -> None:
        if not self.is_up:
            raise KafkaConnectionError("nobody there")

    async def ready(self, broker: int) -> bool:
        await asyncio.sleep(0)
        return broker not in self.unreachable

    async def send(self, broker: int, request: Any) -> Any:
        if not isinstance(request, ProduceRequest):
            self.ids += 1
            return SimpleNamespace(error_code=0, producer_id=self.ids, producer_epoch=0)
        written = {
            TopicPartition(topic, partition): bytes(batch)
            for topic, partitions in request._topics
            for partition, batch in partitions
        }
        self.requests.append((broker, written))
        await asyncio.sleep(0)
        if broker in self.silent:
            await asyncio.Event().wait()
        answers = self.answers.get(broker)
        answer = answers.popleft() if answers else None
        if isinstance(answer, Exception):
            raise answer
        codes = answer(written) if answer else dict.fromkeys(written, 0)
        told: dict[str, list[tuple[int, int, int, int]]] = {}
        for tp, code in codes.items():
            told.setdefault(tp.topic, []).append((tp.partition, code, -1 if code else self._kept(tp, written), -1))
        return SimpleNamespace(topics=list(told.items()))

    async def close(self) -> None:
        self.is_closed = True

    def _kept(self, tp: TopicPartition, written: Written) -> int:
        first = self.ends.get(tp, 0)
        self.ends[tp] = first + len(values(written[tp]))
        return first

    # What a test looks at.

    def values(self) -> list[dict[TopicPartition, list[bytes]]]:
        """The values of each request, by partition."""
        return [{tp: values(batch) for tp, batch in written.items()} for _, written in self.requests]


def all_of(code: int) -> Answer:
    """The same for every partition of a request."""
    return lambda written: dict.fromkeys(written, code)


def batch_of(raw: bytes) -> Any:
    return MemoryRecords(raw).next_batch()


def values(raw: bytes) -> list[bytes]:
    return [record.value for record in batch_of(raw)]
