"""What is produced, as the real broker has it."""

import uuid

from aiokafka import AIOKafkaConsumer
from confluent_kafka.admin import AdminClient, NewTopic

from streaming.producer import Producer, Record

TIMEOUT_S = 20.0
TIMEOUT_MS = 20_000
RECORDS = 100
BATCH_BYTES = 20_000


async def test_records_that_are_alike_take_little_room(kafka: str) -> None:
    """The broker refuses batches that are larger than a fifth of what is sent."""
    topic = f"alike-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    limited = NewTopic(topic, 1, 1, config={"max.message.bytes": str(BATCH_BYTES)})
    for created in admin.create_topics([limited]).values():
        created.result(TIMEOUT_S)
    values = [b"%d" % number + b", the same as before" * 50 for number in range(RECORDS)]
    assert sum(map(len, values)) > 5 * BATCH_BYTES

    producer = Producer(kafka, on_produced=lambda topic, count: None)
    producer.start()
    try:
        assert await producer.send_all([Record(topic, b"key", value, None, 0) for value in values]) == {0: RECORDS - 1}
    finally:
        await producer.stop()

    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        read: list[bytes] = []
        while len(read) < RECORDS:
            polled = await consumer.getmany(timeout_ms=TIMEOUT_MS)
            assert polled, f"{len(read)} records within {TIMEOUT_S:g} s"
            read += [record.value for records in polled.values() for record in records]
    finally:
        await consumer.stop()
    assert read == values
