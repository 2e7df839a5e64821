"""How does the demo's feed get into Kafka? At the pace that each of its records says."""

import threading
import time

from confluent_kafka import Producer

import topics
from simulators.feed import Feed, TopicKind
from streaming.producer import MAX_REQUEST_BYTES, Headers

TOPICS = {TopicKind.STATUS: topics.STATUS, TopicKind.SUBSCRIPTIONS: topics.SUBSCRIPTIONS}
FLUSH_TIMEOUT_S = 30.0


class Publisher:
    """Blocks in `run`; `published` and `done` may be read from other threads."""

    def __init__(self, kafka: str, feed: Feed) -> None:
        self.feed = feed
        self.published = 0
        self.done = False
        self._stopping = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_REQUEST_BYTES,
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
            headers: Headers | None = [("content-type", record.content_type)] if record.content_type else None
            self._producer.produce(TOPICS[record.topic_kind], record.value, record.key, headers=headers)
            self._producer.poll(0)
            self.published += 1
        if left := self._producer.flush(FLUSH_TIMEOUT_S):
            raise RuntimeError(f"{left} records of the feed did not reach Kafka")
        self.done = True

    def stop(self) -> None:
        self._stopping.set()
