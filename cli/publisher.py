"""How does the demo's feed get into Kafka? At the pace that each of its records says."""

import threading
import time

from confluent_kafka import KafkaError, Message, Producer

import topics
from simulators.feed import Feed, FeedRecord, TopicKind
from streaming.producer import MAX_RECORD_BYTES

TOPICS = {TopicKind.STATUS: topics.STATUS, TopicKind.SUBSCRIPTIONS: topics.SUBSCRIPTIONS}
FLUSH_TIMEOUT_S = 30.0
QUEUE_FULL_WAIT_S = 0.1


class Publisher:
    """Blocks in `run`; `published` and `done` may be read from other threads."""

    def __init__(self, kafka: str, feed: Feed) -> None:
        self.feed = feed
        self.published = 0
        self.done = False
        self._stopping = threading.Event()
        self._failed = 0
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_RECORD_BYTES,
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        """Raises RuntimeError if the broker does not take everything."""
        began = time.monotonic()
        for record in self.feed.records:
            self._stopping.wait(max(0.0, record.at_offset_s - (time.monotonic() - began)))
            if self._stopping.is_set():
                return
            self._put(record)
            self.published += 1
        if left := self._producer.flush(FLUSH_TIMEOUT_S) + self._failed:
            raise RuntimeError(f"{left} records of the feed did not reach Kafka")
        self.done = True

    def _put(self, record: FeedRecord) -> None:
        headers: dict[str, str | bytes | None] = {"content-type": record.content_type} if record.content_type else {}
        topic = TOPICS[record.topic_kind]
        while not self._stopping.is_set():
            try:
                self._producer.produce(topic, record.value, record.key, headers=headers, on_delivery=self._delivered)
            except BufferError:  # bounded by the message timeout: past it, what fills the queue fails and leaves it
                self._producer.poll(QUEUE_FULL_WAIT_S)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._failed += error is not None

    def stop(self) -> None:
        self._stopping.set()
