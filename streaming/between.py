"""What was written to some topics between two times? Read once, by no consumer group, up to their present ends."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

T = TypeVar("T")

TIMEOUT_S = 30.0
ELECTION_S = 5.0
ASK_AGAIN_S = 0.2
AT_ONCE = 10_000


class Unread(Exception):
    """The broker told nothing for too long."""


async def read_between(
    kafka: str, topics: Sequence[str], begin_ms: int, end_ms: int, on_record: Callable[[Message], None]
) -> None:
    """Show ``on_record``, on a thread, the records that are stamped from ``begin_ms`` (epoch) to before ``end_ms``.

    By Kafka's index of timestamps: of what is stamped out of order, some that is not may be shown, too. Raises Unread.
    """
    try:
        await asyncio.to_thread(_read, kafka, topics, begin_ms, end_ms, on_record)
    except KafkaException as error:
        raise Unread(error.args[0].str()) from error


def _read(kafka: str, topics: Sequence[str], begin_ms: int, end_ms: int, on_record: Callable[[Message], None]) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"herald-tail-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # As workers read: what we wrote counts, whatever transaction of a stranger is open before it.
            "isolation.level": "read_uncommitted",
            # What stood last before the end may be gone, or be a transaction's marker.
            "enable.partition.eof": True,
            # Compressed, which is several times as much when it is read; beside a worker that works.
            "fetch.message.max.bytes": 256 << 10,
            "queued.max.messages.kbytes": 16_384,
            "log_level": 0,
        }
    )
    try:
        left = _patiently(lambda: _spans(consumer, topics, begin_ms, end_ms))
        consumer.assign([TopicPartition(topic, partition, begin) for (topic, partition), (begin, _) in left.items()])
        deadline = time.monotonic() + TIMEOUT_S
        while left:
            messages = consumer.consume(AT_ONCE, timeout=1.0)
            for message in messages:
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                tp = (str(message.topic()), int(message.partition() or 0))
                if tp not in left:
                    continue
                deadline = time.monotonic() + TIMEOUT_S
                _, end = left[tp]
                offset = int(message.offset() or 0)
                if error is None and offset < end:
                    on_record(message)
                if error is not None or offset + 1 >= end:
                    del left[tp]
                    consumer.pause([TopicPartition(*tp)])
            if time.monotonic() > deadline:
                raise Unread(f"nothing came of {len(left)} partitions for {TIMEOUT_S:g} s")
    finally:
        consumer.close()


def _patiently(ask: Callable[[], T]) -> T:
    """A leader that has just been elected is not known everywhere at once."""
    deadline = time.monotonic() + ELECTION_S
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(ASK_AGAIN_S)


def _spans(
    consumer: Consumer, topics: Sequence[str], begin_ms: int, end_ms: int
) -> dict[tuple[str, int], tuple[int, int]]:
    """From which offset to which, for every partition that has any such records."""
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    partitions = [(topic, number) for topic in topics for number in known[topic].partitions]
    begins, ends = (_offsets(consumer, partitions, at_ms) for at_ms in (begin_ms, end_ms))
    spans = {}
    for tp in partitions:
        # -1: nothing is so young.
        if begins[tp] >= 0:
            _, last = consumer.get_watermark_offsets(TopicPartition(*tp), timeout=TIMEOUT_S)
            end = ends[tp] if ends[tp] >= 0 else last
            if begins[tp] < end:
                spans[tp] = (begins[tp], end)
    return spans


def _offsets(consumer: Consumer, partitions: Sequence[tuple[str, int]], at_ms: int) -> dict[tuple[str, int], int]:
    """The first offset stamped so or later; -1 where there is none."""
    found = consumer.offsets_for_times([TopicPartition(*tp, at_ms) for tp in partitions], timeout=TIMEOUT_S)
    for one in found:
        if one.error is not None:
            raise KafkaException(one.error)
    return {(one.topic, one.partition): one.offset for one in found}
