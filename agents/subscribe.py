"""Subscriptions in; rows of the subscriptions table, and dead letters, out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import StreamT

import topics
from agents.turn import MAX_KEY_BYTES, set_aside
from observability.metrics import Metrics
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import InvalidInput
from pipeline.subscriptions import decode
from streaming.app import ConsumerApp
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from streaming.table import Row
from tables.subscriptions import Subscriptions


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    out: RecordSink
    subscriptions: Subscriptions
    partitions: int
    metrics: Metrics

    async def process(self, fetches: Sequence[Fetch]) -> None:
        """Returns when every row, and every refusal, is durable."""
        rows: dict[int, list[Row]] = defaultdict(list)
        refused: list[Record] = []
        for fetch in fetches:
            for record in fetch.records:
                try:
                    rows[record.partition].append(_row(record.key, record.value, record.partition, self.partitions))
                except InvalidInput as refusal:
                    refused.append(set_aside(record, DeadLetterReason.INVALID_INPUT, str(refusal)))
        if refused:
            await self.out.send_all(refused)
            self.metrics.dead_lettered(Counter({DeadLetterReason.INVALID_INPUT: len(refused)}))
        await self.subscriptions.put(self.out, rows)


def _row(key: bytes | None, value: bytes | None, partition: int, partitions: int) -> Row:
    """Raises InvalidInput: a subscription under another key, or in another partition, would never be found."""
    if key is None:
        raise InvalidInput("key", "is missing: a subscription is keyed by its shipment")
    if len(key) > MAX_KEY_BYTES:
        raise InvalidInput("key", f"has more than {MAX_KEY_BYTES} bytes: no shipment's id is that long")
    if value is not None and (subscription := decode(value)) is not None and subscription.shipment_id.encode() != key:
        raise InvalidInput("shipment_id", "is not the record's key")
    if (belongs := topics.partition_of(key, partitions)) != partition:
        raise InvalidInput("key", f"lies in partition {partition}, Kafka's own partitioner (murmur2) says {belongs}")
    return key, value


def define(app: ConsumerApp, subscriber: Subscriber, *, window: int) -> None:
    @app.agent(app.batched_topic(topics.SUBSCRIPTIONS, window=window), name="subscribe")
    async def subscribe(stream: StreamT[Any]) -> None:
        await app.engine.run(stream, subscriber.process)
