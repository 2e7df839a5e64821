"""What is produced, as the real broker has it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka.admin import AdminClient, NewTopic

from streaming.producer import Producer, Record

TIMEOUT_S = 20.0
TIMEOUT_MS = 20_000
RECORDS = 100
BATCH_BYTES = 20_000


@asynccontextmanager
async def started(kafka: str) -> AsyncIterator[Producer]:
    producer = Producer(kafka, on_produced=lambda *_: None)
    producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read(kafka: str, topic: str, records: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        there: list[ConsumerRecord] = []
        while len(there) < records:
            polled = await consumer.getmany(timeout_ms=TIMEOUT_MS)
            assert polled, f"{len(there)} records within {TIMEOUT_S:g} s"
            there += [record for some in polled.values() for record in some]
    finally:
        await consumer.stop()
    return there


async def test_records_that_are_alike_take_little_room(kafka: str) -> None:
    """The broker refuses batches that are larger than a fifth of what is sent."""
    topic = f"alike-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    limited = NewTopic(topic, 1, 1, config={"max.message.bytes": str(BATCH_BYTES)})
    for created in admin.create_topics([limited]).values():
        created.result(TIMEOUT_S)
    values = [b"%d" % number + b", the same as before" * 50 for number in range(RECORDS)]
    assert sum(map(len, values)) > 5 * BATCH_BYTES

    async with started(kafka) as producer:
        assert await producer.send_all([Record(topic, b"key", value, None, 0) for value in values]) == {0: RECORDS - 1}
    assert [record.value for record in await read(kafka, topic, RECORDS)] == values


async def test_a_key_goes_where_another_client_puts_it(kafka: str, new_topic: Callable[[int], str]) -> None:
    topic = new_topic(12)
    keys = [b"key-" + b"x" * (number % 9) + b"%d" % number for number in range(RECORDS)]
    other = confluent_kafka.Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "log_level": 0})
    for key in keys:
        other.produce(topic, b"other", key)
    assert other.flush(TIMEOUT_S) == 0
    async with started(kafka) as producer:
        await producer.send_all([Record(topic, key, b"ours", [("name", b"value")]) for key in keys])
    places: dict[bytes, dict[bytes, int]] = {b"other": {}, b"ours": {}}
    for record in await read(kafka, topic, 2 * RECORDS):
        places[record.value][record.key] = record.partition
    assert places[b"ours"] == places[b"other"]
    assert places[b"ours"].keys() == set(keys)


@pytest.mark.parametrize("lost", [1, 3])
async def test_what_the_broker_has_taken_without_our_hearing_of_it_is_there_once(
    kafka: str, new_topic: Callable[[int], str], monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    topic = new_topic(2)
    send = AIOKafkaClient.send
    left = lost

    async def deaf(client: AIOKafkaClient, broker: int, request: Any, **options: Any) -> Any:
        nonlocal left
        answer = await send(client, broker, request, **options)
        if isinstance(request, ProduceRequest) and left:
            left -= 1
            raise KafkaConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(AIOKafkaClient, "send", deaf)
    values = [b"%d" % number for number in range(RECORDS)]
    async with started(kafka) as producer:
        calls = [
            producer.send_all([Record(topic, None, value, None, partition) for value in values[at::10]])
            for at in range(10)
            for partition in (0, 1)
        ]
        offsets = await asyncio.wait_for(asyncio.gather(*calls), TIMEOUT_S)
    assert not left
    assert max(one[0] for one in offsets if 0 in one) == max(one[1] for one in offsets if 1 in one) == RECORDS - 1
    there = await read(kafka, topic, 2 * RECORDS)
    wanted = [value for at in range(10) for value in values[at::10]]
    for partition in (0, 1):
        assert [record.value for record in there if record.partition == partition] == wanted
