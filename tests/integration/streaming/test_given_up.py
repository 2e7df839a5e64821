"""Kafka takes offsets from a member that it has given up, as long as nobody else is in the group: so it gives none."""

import uuid

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer as module
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CommitFailedError
from confluent_kafka.admin import AdminClient, NewTopic

from streaming.coordinator import AttentiveCoordinator

TIMEOUT_S = 20.0


@pytest.fixture
def lane(kafka: str) -> TopicPartition:
    name = f"given-up-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    for created in admin.create_topics([NewTopic(name, 1, 1)]).values():
        created.result(TIMEOUT_S)
    return TopicPartition(name, 0)


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
