"""How does a record leave this worker? Through librdkafka, a batch at a time, awaited until the broker has it.

Acks from all replicas and an idempotent producer: a batch that was acknowledged is kept, in order, without repeats of
librdkafka's own making.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as LibrdkafkaProducer

MAX_REQUEST_BYTES = 16 << 20
LOCAL_QUEUE_MESSAGES = 200_000
DELIVERY_TIMEOUT_S = 60.0

# Deliveries are heard of on the event loop: on a thread of its own, librdkafka would take the interpreter from the loop
# and give it back for each single record.
POLL_S = 0.001
POLL_WHILE_IDLE_S = 1.0

UNTOLD = -1
"""The offset of what the broker had already, when it was sent again for want of an answer: it may not say where."""

# The type is librdkafka's; every value here is bytes.
Headers = list[tuple[str, str | bytes | None]]


class Record(msgspec.Struct, frozen=True):
    """What is produced; ``partition`` -1 leaves it to the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int = -1


class ProduceFailed(Exception):
    """The broker did not acknowledge a batch in time: nothing that stands on it may be committed."""


class TimedOut(ProduceFailed):
    """Records of the batch waited too long to be sent, or for the broker's word; some of it may be there."""


class _Batch:
    """Counts deliveries and wakes whoever waits for them once, not once a record."""

    def __init__(self, records: int) -> None:
        self._left = records
        self._failures: dict[int, KafkaError] = {}
        self.delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.offsets: dict[int, int] = {}

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            offset = message.offset()
            self.offsets[message.partition()] = UNTOLD if offset is None else offset  # type: ignore[index]  # it has one
        else:
            self._failures[error.code()] = error
        self._left -= 1
        if not self._left:
            self._settle()

    def _settle(self) -> None:
        if self.delivered.done():
            return
        if not self._failures:
            self.delivered.set_result(None)
        elif self._failures.keys() == {KafkaError._MSG_TIMED_OUT}:
            self.delivered.set_exception(TimedOut(str(self._failures[KafkaError._MSG_TIMED_OUT])))
        else:
            self.delivered.set_exception(ProduceFailed("; ".join(map(str, self._failures.values()))))


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
        linger_ms: int = 5,
    ) -> None:
        self._on_produced = on_produced
        self._producer = LibrdkafkaProducer(
            {
                "bootstrap.servers": kafka,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": linger_ms,
                "batch.size": 1 << 18,
                # Records of a batch are alike: a quarter of the bytes, for the broker, its disks and whoever reads.
                "compression.type": "lz4",
                "message.max.bytes": MAX_REQUEST_BYTES,
                "queue.buffering.max.messages": LOCAL_QUEUE_MESSAGES,
                "delivery.timeout.ms": int(stale_after_s * 1000),
                # Its own ten seconds are longer than a record may wait.
                "reconnect.backoff.max.ms": 1_000,
                # Kafka's own partitioner: librdkafka's default would break co-partitioned tables.
                "partitioner": "murmur2_random",
            },
            logger=logging.getLogger("librdkafka"),
        )
        self._next_poll: asyncio.TimerHandle | None = None
        self._is_idle = True

    def start(self) -> None:
        """On the loop that ``send_all`` is called on."""
        self._poll()

    def _poll(self) -> None:
        # Idle or not, librdkafka has its own log to tell.
        self._is_idle = not len(self._producer)
        self._poll_in(POLL_WHILE_IDLE_S if self._is_idle else POLL_S)
        self._producer.poll(0)

    def _poll_in(self, seconds: float) -> None:
        if self._next_poll is not None:
            self._next_poll.cancel()
        self._next_poll = asyncio.get_running_loop().call_later(seconds, self._poll)

    def _wake(self) -> None:
        """Deliveries will be heard of from here on. Raises ProduceFailed."""
        if self._next_poll is None:
            raise ProduceFailed("the producer has not been started, or has been stopped")
        if self._is_idle:
            self._is_idle = False
            self._poll_in(POLL_S)

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """Produce every record and return once the broker has acknowledged all of them.

        Returns the highest offset for each partition number, which means something where all the records go to one
        topic, or `UNTOLD`. A full local queue waits for room. Raises TimedOut, ProduceFailed.
        """
        if not records:
            return {}
        self._wake()
        batch = _Batch(len(records))
        produce, on_delivery = self._producer.produce, batch.on_delivery
        for one in records:
            while True:
                try:
                    produce(one.topic, one.value, one.key, one.partition, on_delivery, headers=one.headers)
                    break
                except BufferError:
                    # Bounded by the delivery timeout: past it, the records that fill the queue fail and leave it.
                    await asyncio.sleep(0.01)
                    self._wake()
                except KafkaException as error:
                    raise ProduceFailed(str(error)) from error
        await batch.delivered
        for topic, count in Counter(record.topic for record in records).items():
            self._on_produced(topic, count)
        return batch.offsets

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Wait for what is under way; nothing can be sent afterwards."""
        give_up_at = time.monotonic() + timeout_s
        while len(self._producer) and time.monotonic() < give_up_at:
            self._producer.poll(0)
            await asyncio.sleep(POLL_S)
        # Whoever still waits hears that it failed.
        self._producer.purge()
        self._producer.poll(0)
        if self._next_poll is not None:
            self._next_poll.cancel()
            self._next_poll = None
