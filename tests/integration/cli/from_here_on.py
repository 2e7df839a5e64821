"""A consumer of what is published from now on."""

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicPartition

TIMEOUT_S = 30.0
POLL_S = 0.1


@contextmanager
def reading(kafka: str, topics: Iterable[str]) -> Iterator[Consumer]:
    """Waits for topics that have just been created: they have no partition, then no leader, for a moment."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid.uuid4()), "enable.auto.commit": False})
    try:
        deadline = time.monotonic() + TIMEOUT_S
        consumer.assign([end for topic in topics for end in _ends(consumer, topic, deadline)])
        yield consumer
    finally:
        consumer.close()


def _ends(consumer: Consumer, topic: str, deadline: float) -> list[TopicPartition]:
    while True:
        known = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        places = [TopicPartition(topic, one) for one in known.partitions]
        try:
            for place in places:
                place.offset = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)[1]
        except KafkaException:
            places = []
        if places:
            return places
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic} has no partition with a leader")
        time.sleep(POLL_S)
