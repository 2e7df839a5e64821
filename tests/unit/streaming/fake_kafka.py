"""Brokers that do what a test says, in place of aiokafka's client."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

Written = dict[TopicPartition, bytes]
# What a broker says to a request: a code for each partition, or an exception. None: it takes everything.
Answer = Callable[[Written], dict[TopicPartition, int]] | Exception | None


DUPLICATE, OUT_OF_ORDER, OLD_EPOCH = 46, 45, 47


@dataclass
class Log:
    """A partition, as its leader keeps it: what comes out of order is refused, and what is there already is known."""

    values: list[bytes] = field(default_factory=list)
    producer: tuple[int, int] = (-1, -1)
    next: int = 0
    last: tuple[int, int] = (-1, -1)

    def append(self, raw: bytes) -> tuple[int, int]:
        """Error code and offset."""
        batch = batch_of(raw)
        assert batch.validate_crc()
        producer, sequence = (batch.producer_id, batch.producer_epoch), batch.base_sequence
        if producer == self.producer and sequence == self.last[0]:
            return 0, self.last[1]
        if producer[0] == self.producer[0] and producer[1] < self.producer[1]:
            return OLD_EPOCH, -1
        if sequence != (self.next if producer == self.producer else 0):
            return OUT_OF_ORDER, -1
        new = values(raw)
        self.last = sequence, len(self.values)
        self.producer, self.next = producer, (sequence + len(new)) % 2**31
        self.values += new
        return 0, self.last[1]


class FakeKafka:
    """``answers`` are given in turn, by broker, then what a log says; a code that is an answer leaves the log as it is.

    ``silent`` brokers never answer, ``deaf`` ones take what is sent before the connection breaks.
    """

    def __init__(self, partitions: dict[str, int]) -> None:
        self.partitions = partitions
        self.leaders: dict[TopicPartition, int] = {}
        self.answers: dict[int, deque[Answer]] = {}
        self.unreachable: set[int] = set()
        self.silent: set[int] = set()
        self.is_up = True
        # So often is asked in vain which partitions a topic has.
        self.unknown_for = 0
        self.requests: list[tuple[int, Written]] = []
        self.ids = 0
        # To who asks for a producer id: a code, or None for no word of any broker. Then there is one.
        self.id_troubles: deque[int | None] = deque()
        self.metadata_updates = 0
        self.logs: dict[TopicPartition, Log] = defaultdict(Log)
        self.deaf = 0
        self.answers_after_s = 0.0
        self.tracked: set[str] = set()
        self.acks: set[int] = set()
        self.most_at_once: Counter[int] = Counter()
        self._at_once: Counter[int] = Counter()
        self._conns: dict[int, Any] = {}
        self._sync_task: asyncio.Future[None] = asyncio.Future()
        self.is_closed = False
        self.cluster = self

    def __call__(self, **settings: Any) -> "FakeKafka":
        return self

    # What is asked of the cluster.

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        self.unknown_for, is_known = max(self.unknown_for - 1, 0), not self.unknown_for
        return set(range(self.partitions[topic])) if self.is_up and is_known and topic in self.partitions else None

    def leader_for_partition(self, tp: TopicPartition) -> int | None:
        return self.leaders.get(tp, 1)

    def get_random_node(self) -> int | None:
        if self.id_troubles and self.id_troubles[0] is None:
            self.id_troubles.popleft()
            return None
        return 1 if self.is_up else None

    # What is asked of the client.

    def add_topic(self, topic: str) -> None:
        self.tracked.add(topic)

    def force_metadata_update(self) -> asyncio.Future[bool]:
        self.metadata_updates += 1
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    async def bootstrap(self) -> None:
        if not self.is_up:
            raise KafkaConnectionError("nobody there")

    async def ready(self, broker: int) -> bool:
        await asyncio.sleep(0)
        return broker not in self.unreachable

    async def send(self, broker: int, request: Any) -> Any:
        assert broker is not None
        if not isinstance(request, ProduceRequest):
            if self.id_troubles:
                return SimpleNamespace(error_code=self.id_troubles.popleft(), producer_id=-1, producer_epoch=-1)
            self.ids += 1
            return SimpleNamespace(error_code=0, producer_id=self.ids, producer_epoch=0)
        written = {
            TopicPartition(topic, partition): bytes(batch)
            for topic, partitions in request._topics
            for partition, batch in partitions
        }
        self.requests.append((broker, written))
        self.acks.add(request.required_acks)
        # As the connection does just before it writes.
        request.build(ProduceRequest_v7)
        self._at_once[broker] += 1
        self.most_at_once[broker] = max(self.most_at_once[broker], self._at_once[broker])
        try:
            return await self._answer(broker, written)
        finally:
            self._at_once[broker] -= 1

    async def _answer(self, broker: int, written: Written) -> Any:
        await asyncio.sleep(self.answers_after_s)
        if broker in self.silent:
            await asyncio.Event().wait()
        answers = self.answers.get(broker)
        answer = answers.popleft() if answers else None
        if isinstance(answer, Exception):
            raise answer
        codes = answer(written) if answer else dict.fromkeys(written, 0)
        told: dict[str, list[tuple[int, int, int, int]]] = {}
        for tp, code in codes.items():
            offset = -1
            if not code:
                code, offset = self.logs[tp].append(written[tp])
            told.setdefault(tp.topic, []).append((tp.partition, code, offset, -1))
        if self.deaf:
            self.deaf -= 1
            raise KafkaConnectionError("the answer was lost")
        return SimpleNamespace(topics=list(told.items()))

    async def close(self) -> None:
        self.is_closed = True

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
