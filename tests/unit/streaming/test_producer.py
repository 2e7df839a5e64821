"""A batch's deliveries are counted, and reported once."""

import asyncio

import pytest
from confluent_kafka import KafkaError

from streaming.producer import UNTOLD, ProduceFailed, Producer, Record, TimedOut, _Batch


class Delivered:
    """What librdkafka tells about a message."""

    def __init__(self, partition: int, offset: int | None) -> None:
        self._at = partition, offset

    def partition(self) -> int:
        return self._at[0]

    def offset(self) -> int | None:
        return self._at[1]


def deliver(batch: _Batch, *reports: tuple[KafkaError | None, Delivered]) -> None:
    """As a poll does."""
    for error, message in reports:
        batch.on_delivery(error, message)  # type: ignore[arg-type]


async def test_a_batch_is_delivered_when_its_last_record_is() -> None:
    batch = _Batch(3)
    deliver(batch, (None, Delivered(0, 5)), (None, Delivered(1, 9)))
    await asyncio.sleep(0)
    assert not batch.delivered.done()
    deliver(batch, (None, Delivered(0, 6)))
    await asyncio.wait_for(batch.delivered, 5)
    assert batch.offsets == {0: 6, 1: 9}


async def test_what_the_broker_had_already_has_no_offset_that_is_known() -> None:
    """A batch whose answer was lost goes out again; one that is no longer among the last five is only called known."""
    batch = _Batch(2)
    deliver(batch, (None, Delivered(0, 5)), (None, Delivered(0, None)))
    await asyncio.wait_for(batch.delivered, 5)
    assert batch.offsets == {0: UNTOLD}


async def test_one_failure_fails_the_batch_but_only_when_all_are_known() -> None:
    """What failed early must not free the caller while others are still on their way."""
    batch = _Batch(2)
    deliver(batch, (KafkaError(KafkaError._MSG_TIMED_OUT), Delivered(0, -1)))
    await asyncio.sleep(0)
    assert not batch.delivered.done()
    deliver(batch, (None, Delivered(0, 1)))
    with pytest.raises(ProduceFailed):
        await asyncio.wait_for(batch.delivered, 5)


async def test_a_caller_that_went_away_is_no_reason_to_fail() -> None:
    batch = _Batch(1)
    batch.delivered.cancel()
    deliver(batch, (None, Delivered(0, 1)))
    await asyncio.sleep(0)
    assert batch.delivered.cancelled()


async def test_nothing_to_send_needs_no_broker() -> None:
    told: list[tuple[str, int]] = []
    producer = Producer("", on_produced=lambda *one: told.append(one))
    assert await producer.send_all([]) == {}
    assert told == []


async def test_a_record_too_large_for_any_broker_fails_at_once() -> None:
    producer = Producer("", on_produced=lambda *_: None)
    producer.start()
    with pytest.raises(ProduceFailed, match="too large"):
        await producer.send_all([Record("topic", None, bytes(17 << 20))])
    await producer.stop(timeout_s=1)


async def test_before_it_starts_and_after_it_stops_nothing_is_waited_for() -> None:
    producer = Producer("", on_produced=lambda *_: None)
    with pytest.raises(ProduceFailed, match="started"):
        await producer.send_all([Record("topic", None, b"")])
    producer.start()
    await producer.stop(timeout_s=1)
    with pytest.raises(ProduceFailed, match="stopped"):
        await producer.send_all([Record("topic", None, b"")])


NOWHERE = "127.0.0.1:1"


async def test_what_cannot_be_sent_is_heard_of_time_after_time() -> None:
    producer = Producer(NOWHERE, on_produced=lambda *_: None, stale_after_s=0.1)
    producer.start()
    for _ in range(2):
        with pytest.raises(TimedOut):
            await asyncio.wait_for(producer.send_all([Record("topic", None, b"")]), 10)
    await producer.stop(timeout_s=1)


async def test_whoever_waits_when_it_stops_hears_that_it_failed() -> None:
    producer = Producer(NOWHERE, on_produced=lambda *_: None)
    producer.start()
    sending = asyncio.create_task(producer.send_all([Record("topic", None, b"")]))
    await asyncio.sleep(0)
    await producer.stop(timeout_s=0.1)
    with pytest.raises(ProduceFailed):
        await asyncio.wait_for(sending, 5)
