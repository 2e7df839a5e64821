"""How does a record leave this worker? Through librdkafka, a batch at a time, awaited until the broker has it.

Acks from all replicas and an idempotent producer: a batch that was acknowledged is kept, in order, without repeats of
librdkafka's own making.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as LibrdkafkaProducer

MAX_REQUEST_BYTES = 16 << 20
LOCAL_QUEUE_MESSAGES = 200_000
DELIVERY_TIMEOUT_S = 60.0


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
    """Counts deliveries on the poll thread and wakes the loop once, not once a record."""

    def __init__(self, records: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = records
        self._failures: dict[int, KafkaError] = {}
        self.delivered: asyncio.Future[None] = self._loop.create_future()
        self.offsets: dict[int, int] = {}

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.offsets[message.partition()] = message.offset()  # type: ignore[index, assignment]  # it has both
        else:
            self._failures[error.code()] = error
        self._left -= 1
        if not self._left:
            self._loop.call_soon_threadsafe(self._settle)

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
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="librdkafka-poll", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """Produce every record and return once the broker has acknowledged all of them.

        Returns the highest offset for each partition number, which means something where all the records go to one
        topic. A full local queue waits for room. Raises TimedOut, ProduceFailed.
        """
        if not records:
            return {}
        if not self._thread.is_alive():
            raise ProduceFailed("the thread that hears of deliveries has ended")
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
                except KafkaException as error:
                    raise ProduceFailed(str(error)) from error
        await batch.delivered
        for topic, count in Counter(record.topic for record in records).items():
            self._on_produced(topic, count)
        return batch.offsets

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Wait for what is under way, then end the poll thread."""
        await asyncio.to_thread(self._producer.flush, timeout_s)
        self._closing.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, timeout_s)
