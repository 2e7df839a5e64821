"""How is Kafka filled, asked and emptied by the benchmarks? Every call blocks, for a limited time."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.bench.work import Keyed

ASK_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.1


def publish(kafka: str, topic: str, records: Iterable[Keyed]) -> None:
    """Returns when the broker has them all; keys go where Kafka's own partitioner puts them."""
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 5})
    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(LOOK_EVERY_S)
        producer.poll(0)
    if left := producer.flush(ASK_TIMEOUT_S):
        raise RuntimeError(f"{left} records did not reach {topic}")


def create_topics(kafka: str, new: Sequence[NewTopic]) -> None:
    """Returns when each partition has its leader: a topic is created before it can be used."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    for created in admin.create_topics(list(new)).values():
        created.result(ASK_TIMEOUT_S)

    def are_led() -> bool:
        there = admin.list_topics(timeout=ASK_TIMEOUT_S).topics
        partitions = [one for topic in new if topic.topic in there for one in there[topic.topic].partitions.values()]
        return len(partitions) == sum(topic.num_partitions for topic in new) and all(p.leader >= 0 for p in partitions)

    wait_until(are_led, "the topics have no leaders")


def delete_topics(kafka: str) -> None:
    """Every topic but Kafka's own."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=ASK_TIMEOUT_S).topics if not name.startswith("__")]

    if names := left():
        for deleted in admin.delete_topics(names).values():
            deleted.result(ASK_TIMEOUT_S)
    wait_until(lambda: not left(), "the topics are still there")


def delete_groups(kafka: str) -> None:
    """Every consumer group; returns when the members that have ended are given up: they do not leave."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})

    def are_gone() -> bool:
        listed = admin.list_consumer_groups(request_timeout=ASK_TIMEOUT_S).result(ASK_TIMEOUT_S)
        names = [one.group_id for one in listed.valid]
        for deleted in admin.delete_consumer_groups(names, request_timeout=ASK_TIMEOUT_S).values() if names else ():
            with suppress(KafkaException):
                deleted.result(ASK_TIMEOUT_S)
        return not names

    wait_until(are_gone, "consumer groups still have members")


def lag(kafka: str, group: str, topic: str) -> int:
    """Records of the topic that the group has not committed."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=ASK_TIMEOUT_S).topics[topic].partitions
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        ends = sum(consumer.get_watermark_offsets(one, timeout=ASK_TIMEOUT_S)[1] for one in wanted)
        return ends - sum(max(0, one.offset) for one in consumer.committed(wanted, timeout=ASK_TIMEOUT_S))
    finally:
        consumer.close()


def log_bytes(data: Path) -> int:
    """What every topic has on the broker's disk, changelogs included; Kafka's own topics and indexes left out.

    A topic that is deleted leaves its folder behind for a minute, under another name.
    """
    folders = [one for one in data.glob("[!_]*-*") if not one.name.endswith("-delete")]
    return sum(log.stat().st_size for folder in folders for log in folder.glob("*.log"))


def wait_until(holds: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    """Raises TimeoutError with ``otherwise``."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(LOOK_EVERY_S)
