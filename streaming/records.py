"""What is a fetched record? aiokafka's ConsumerRecord at a third of its cost, for there is one for every message.

A dataclass of eleven fields, two of them sums that nobody reads, costs more than Kafka's own format does to take apart.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher


class FetchedRecord(msgspec.Struct, gc=False):
    """``timestamp`` is in milliseconds since the epoch. It holds no cycles, so the collector need not know it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class FetchedRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types here
    """The records of one partition in an answer to a fetch."""

    def _consumer_record(self, tp: TopicPartition, record: Any) -> FetchedRecord:
        return FetchedRecord(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            record.key,
            record.value,
            record.headers,
        )


def install() -> None:
    """For every consumer of this process: aiokafka has no other place to say it."""
    fetcher.PartitionRecords = FetchedRecords
