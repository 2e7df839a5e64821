"""Topics between two times, on the real broker, whatever is in them."""

from collections.abc import Callable
from contextlib import closing

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streaming.between import Unread, read_between
from tests.fakes import T0_MS, until

TIMEOUT_S = 20.0


@pytest.fixture
def topic(new_topic: Callable[[int], str]) -> str:
    return new_topic(3)


def produce(kafka: str, topic: str, stamps_ms: range) -> None:
    producer = Producer({"bootstrap.servers": kafka, "log_level": 0})
    for number, stamp_ms in enumerate(stamps_ms):
        producer.produce(topic, b"value", str(stamp_ms).encode(), partition=number % 2, timestamp=stamp_ms)
    assert producer.flush(TIMEOUT_S) == 0


async def between(kafka: str, topic: str, begin_ms: int, end_ms: int = T0_MS + 1_000_000) -> list[int]:
    found: list[Message] = []
    await read_between(kafka, [topic], begin_ms, end_ms, found.append)
    return sorted(int(message.key() or b"") for message in found)


async def test_from_a_time_on(kafka: str, topic: str) -> None:
    """One of its partitions is empty."""
    produce(kafka, topic, range(T0_MS, T0_MS + 100))
    assert await between(kafka, topic, T0_MS + 90) == list(range(T0_MS + 90, T0_MS + 100))
    assert len(await between(kafka, topic, T0_MS - 1)) == 100


async def test_up_to_a_time(kafka: str, topic: str) -> None:
    produce(kafka, topic, range(T0_MS, T0_MS + 100))
    assert await between(kafka, topic, T0_MS + 10, T0_MS + 14) == list(range(T0_MS + 10, T0_MS + 14))
    assert await between(kafka, topic, T0_MS - 10, T0_MS) == []


async def test_nothing_so_young(kafka: str, topic: str) -> None:
    produce(kafka, topic, range(T0_MS, T0_MS + 10))
    assert await between(kafka, topic, T0_MS + 10) == []


async def test_what_stands_last_may_be_a_transactions_marker(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes of it, and what comes later is not asked for."""
    monkeypatch.setattr("streaming.between.TIMEOUT_S", 5.0)
    produce(kafka, topic, range(T0_MS, T0_MS + 2))
    producer = Producer({"bootstrap.servers": kafka, "log_level": 0, "transactional.id": topic})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(topic, b"value", str(T0_MS + 2).encode(), partition=0, timestamp=T0_MS + 2)
    producer.commit_transaction(TIMEOUT_S)
    # The coordinator writes the marker after it has answered; until then nobody is shown what is committed.
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "log_level": 0})
    with closing(consumer):
        await until(lambda: consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT_S)[1] == 3, TIMEOUT_S)
    assert await between(kafka, topic, T0_MS, 2 * T0_MS) == [T0_MS, T0_MS + 1, T0_MS + 2]


async def test_a_strangers_open_transaction_hides_nothing_that_is_behind_it(kafka: str, topic: str) -> None:
    stranger = Producer({"bootstrap.servers": kafka, "log_level": 0, "transactional.id": topic})
    stranger.init_transactions(TIMEOUT_S)
    stranger.begin_transaction()
    stranger.produce(topic, b"value", str(T0_MS).encode(), partition=0, timestamp=T0_MS)
    assert stranger.flush(TIMEOUT_S) == 0
    produce(kafka, topic, range(T0_MS + 1, T0_MS + 3))
    found = await between(kafka, topic, T0_MS)
    stranger.abort_transaction(TIMEOUT_S)
    assert set(found) >= {T0_MS + 1, T0_MS + 2}


async def test_an_empty_topic(kafka: str, topic: str) -> None:
    assert await between(kafka, topic, 0) == []


async def test_a_broker_that_is_away(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.between.TIMEOUT_S", 0.5)
    with pytest.raises(Unread):
        await between("127.0.0.1:1", topic, 0)
