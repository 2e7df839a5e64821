"""How far has a consumer group got? Asked without joining it."""

import time
from collections.abc import Collection, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

ASK_AGAIN_S = 0.1

# What a broker says whose groups are new to it, or on their way to another.
NO_COORDINATOR_YET = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)


def committed(
    kafka: str, group: str, places: Collection[tuple[str, int]], timeout_s: float
) -> Mapping[tuple[str, int], int]:
    """By topic and partition; where nothing was committed, there is nothing. Blocks; raises KafkaException.

    Not by the admin client: where the coordinator moves, it ends the process (librdkafka#5040).
    """
    if not places:
        return {}
    deadline = time.monotonic() + timeout_s
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False, "log_level": 0})
    try:
        while True:
            try:
                return _ask(consumer, places, deadline)
            except KafkaException as error:
                if error.args[0].code() not in NO_COORDINATOR_YET or time.monotonic() > deadline:
                    raise
            time.sleep(ASK_AGAIN_S)
    finally:
        consumer.close()


def _ask(consumer: Consumer, places: Collection[tuple[str, int]], deadline: float) -> Mapping[tuple[str, int], int]:
    left_s = max(ASK_AGAIN_S, deadline - time.monotonic())
    found = consumer.committed([TopicPartition(*place) for place in places], timeout=left_s)
    for one in found:
        if one.error is not None:
            raise KafkaException(one.error)
    return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
