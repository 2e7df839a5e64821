"""What has been written to some topics lately? Read once, by no consumer group, up to their ends of this moment."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

TIMEOUT_S = 30.0
AT_ONCE = 10_000


class TailUnread(Exception):
    """The broker did not tell in time."""


async def read_tail(kafka: str, topics: Sequence[str], since_ms: int, on_record: Callable[[Message], None]) -> None:
    """Show ``on_record``, on a thread, every record that is stamped ``since_ms`` (epoch) or later. Raises TailUnread.

    By Kafka's index of timestamps: of what is stamped out of order, some that is older may be shown too.
    """
    try:
        await asyncio.to_thread(_read, kafka, topics, since_ms, on_record)
    except KafkaException as error:
        raise TailUnread(error.args[0].str()) from error


def _read(kafka: str, topics: Sequence[str], since_ms: int, on_record: Callable[[Message], None]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"herald-tail-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        left = _spans(consumer, topics, since_ms)
        consumer.assign([TopicPartition(topic, partition, begin) for (topic, partition), (begin, _) in left.items()])
        while left:
            if time.monotonic() > deadline:
                raise TailUnread(f"{len(left)} partitions were not read within {TIMEOUT_S:g} s")
            for message in consumer.consume(AT_ONCE, timeout=1.0):
                if (error := message.error()) is not None:
                    raise KafkaException(error)
                tp = (str(message.topic()), int(message.partition() or 0))
                offset = int(message.offset() or 0)
                if tp in left and offset < left[tp][1]:
                    on_record(message)
                    if offset + 1 >= left[tp][1]:
                        del left[tp]
    finally:
        consumer.close()


def _spans(consumer: Consumer, topics: Sequence[str], since_ms: int) -> dict[tuple[str, int], tuple[int, int]]:
    """From which offset to which, for every partition that has any such records."""
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    wanted = [TopicPartition(topic, number, since_ms) for topic in topics for number in known[topic].partitions]
    spans = {}
    for found in consumer.offsets_for_times(wanted, timeout=TIMEOUT_S):
        _, end = consumer.get_watermark_offsets(found, timeout=TIMEOUT_S)
        if 0 <= found.offset < end:
            spans[found.topic, found.partition] = (found.offset, end)
    return spans
