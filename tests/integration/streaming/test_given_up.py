"""Kafka takes offsets from a member that it has given up, as long as nobody else is in the group: so it gives none."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer as module
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CommitFailedError

from streaming.coordinator import AttentiveCoordinator

TIMEOUT_S = 20.0


@pytest.fixture
def lane(new_topic: Callable[[int], str]) -> TopicPartition:
    return TopicPartition(new_topic(1), 0)


@pytest.mark.parametrize(
    ("coordinator", "committed"),
    [pytest.param(GroupCoordinator, 2, id="aiokafka's"), pytest.param(AttentiveCoordinator, 5, id="ours")],
)
async def test_who_has_been_given_up_takes_no_offset_back(
    kafka: str, lane: TopicPartition, monkeypatch: pytest.MonkeyPatch, coordinator: type, committed: int
) -> None:
    monkeypatch.setattr(module, "GroupCoordinator", coordinator)

    def of_the_group() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(bootstrap_servers=kafka, group_id=lane.topic, enable_auto_commit=False)

    async with of_the_group() as other:
        other.subscribe([lane.topic])
        async with asyncio.timeout(TIMEOUT_S):
            while not other.assignment():
                await other.getmany(timeout_ms=100)
        await other.commit({lane: 5})
    async with of_the_group() as given_up:
        # What aiokafka is left with when its heartbeat is refused: partitions, and no generation.
        given_up.assign([lane])
        if coordinator is AttentiveCoordinator:
            with pytest.raises(CommitFailedError):
                await given_up.commit({lane: 2})
        else:
            await given_up.commit({lane: 2})
        assert await given_up.committed(lane) == committed
