"""What lies in the topics, and how far has each group got? Read by no group, from a mark to the ends of this moment."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

import topics
from cli import group_offsets
from streaming.producer import MAX_RECORD_BYTES
from tests.chaos.account import Committed

# By topic and partition.
Offsets = Mapping[tuple[str, int], int]

TIMEOUT_S = 30.0
AT_ONCE = 10_000
POLL_S = 0.5
ASK_AGAIN_S = 0.1

# What a broker says of topics that are new to it, or when it has just come back.
NO_LEADER_YET = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.BROKER_NOT_AVAILABLE,
    }
)


def accounted_topics(tiers_s: Sequence[float]) -> list[str]:
    """Every topic that an account is drawn from."""
    return sorted(
        {topics.DLQ, *(topic for some in topics.read_by(tiers_s).values() for topic in some)} - {topics.SUBSCRIPTIONS}
    )


def ends(kafka: str, names: Sequence[str]) -> Offsets:
    """Where each partition ends now. Raises KafkaException."""
    return {tp: end for tp, (_, end) in _spans(kafka, names).items()}


def committed(kafka: str, tiers_s: Sequence[float]) -> list[Committed]:
    """How far each group has got with each of its partitions. Raises KafkaException."""
    groups = topics.read_by(tiers_s)
    # Before the ends: what is committed in between is never more than they say.
    found = {group: reached(kafka, group, some) for group, some in groups.items()}
    spans = _spans(kafka, sorted({topic for some in groups.values() for topic in some}))
    return [
        Committed(group, topic, partition, found[group].get((topic, partition), begin), end)
        for group, some in groups.items()
        for (topic, partition), (begin, end) in spans.items()
        if topic in some
    ]


def reached(kafka: str, group: str, names: Sequence[str]) -> Offsets:
    """Where ``group`` has committed anything. Raises KafkaException."""
    with _consumer(kafka) as consumer:
        places = _partitions(consumer, names)
    return group_offsets.committed(kafka, group, places, TIMEOUT_S)


def records(kafka: str, since: Offsets, until: Offsets) -> Iterator[Message]:
    """Everything between the two, in offset order by partition.

    Raises KafkaException, and TimeoutError where Kafka is silent for `TIMEOUT_S`.
    """
    left = {tp: end for tp, end in until.items() if end > since.get(tp, 0)}
    with _consumer(kafka) as consumer:
        consumer.assign([TopicPartition(*tp, since.get(tp, 0)) for tp in left])
        yield from _consume(consumer, left)


def _consume(consumer: Consumer, left: dict[tuple[str, int], int]) -> Iterator[Message]:
    quiet_since = time.monotonic()
    while left:
        batch = consumer.consume(AT_ONCE, timeout=POLL_S)
        if batch:
            quiet_since = time.monotonic()
        elif time.monotonic() > quiet_since + TIMEOUT_S:
            raise TimeoutError(f"Kafka went silent before the ends of {sorted(left)}")
        for message in batch:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            tp = (cast(str, message.topic()), cast(int, message.partition()))
            offset, end = cast(int, message.offset()), left.get(tp)
            if end is None or offset >= end:
                continue
            yield message
            if offset == end - 1:
                del left[tp]


@contextmanager
def _consumer(kafka: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"chaos-{uuid.uuid4()}",  # the client wants one; nothing is committed to it
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": MAX_RECORD_BYTES,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _spans(kafka: str, names: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """The first offset of each partition, and the one after its last."""
    with _consumer(kafka) as consumer:
        return {tp: _span(consumer, TopicPartition(*tp)) for tp in _partitions(consumer, names)}


def _partitions(consumer: Consumer, names: Sequence[str]) -> list[tuple[str, int]]:
    found = consumer.list_topics(timeout=TIMEOUT_S).topics
    return [(name, number) for name in names for number in found[name].partitions]


def _span(consumer: Consumer, tp: TopicPartition) -> tuple[int, int]:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return consumer.get_watermark_offsets(tp, timeout=TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(ASK_AGAIN_S)
            # It would go by what it was told when it asked first.
            consumer.list_topics(tp.topic, timeout=TIMEOUT_S)
