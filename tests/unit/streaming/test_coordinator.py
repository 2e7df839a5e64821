"""A broker that cannot say how far a group has got is asked again; a group is new only where one says so."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.consumer import consumer
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from streaming.coordinator import AttentiveCoordinator, install

LANE = TopicPartition("lane", 3)
LOADING, NOT_AVAILABLE, MOVED, FORBIDDEN = 14, 15, 16, 30


def told(offset: int) -> OffsetFetchResponse_v3:
    return OffsetFetchResponse_v3(0, [(LANE.topic, [(LANE.partition, offset, "", 0)])], 0)


def failed(code: int) -> OffsetFetchResponse_v3:
    """As a broker says it: the group's code, and no topic."""
    return OffsetFetchResponse_v3(0, [], code)


class Client:
    """Gives ``answers`` one after the other, each over the wire's own format."""

    def __init__(self, answers: Sequence[OffsetFetchResponse_v3]) -> None:
        self._answers = list(answers)
        self.lookups = 0
        self.cluster = type("Cluster", (), {"add_listener": lambda self, listener: None})()

    async def send(self, node: int, request: Any, *, group: Any = None) -> Any:
        return OffsetFetchResponse_v3.decode(self._answers.pop(0).encode())

    async def ready(self, node: int, *, group: Any = None) -> bool:
        return True

    async def coordinator_lookup(self, kind: Any, key: str) -> int:
        self.lookups += 1
        return self.lookups


@asynccontextmanager
async def asking(*answers: OffsetFetchResponse_v3) -> AsyncIterator[tuple[AttentiveCoordinator, Client]]:
    client = Client(answers)
    coordinator = AttentiveCoordinator(
        client, SubscriptionState(), group_id="g", enable_auto_commit=False, retry_backoff_ms=1
    )
    try:
        yield coordinator, client
    finally:
        coordinator._coordination_task.cancel()


@pytest.mark.parametrize(("code", "lookups"), [(LOADING, 1), (NOT_AVAILABLE, 2), (MOVED, 2)])
async def test_a_broker_that_cannot_say_is_asked_again(code: int, lookups: int) -> None:
    async with asking(failed(code), told(1_000)) as (coordinator, client):
        committed = await coordinator.fetch_committed_offsets([LANE])
    assert committed[LANE].offset == 1_000
    assert client.lookups == lookups, "and whoever has taken the group over is looked for"


async def test_a_group_without_a_commit_is_new() -> None:
    async with asking(told(-1)) as (coordinator, _):
        assert await coordinator.fetch_committed_offsets([LANE]) == {}


async def test_what_does_not_pass_is_an_error() -> None:
    async with asking(failed(FORBIDDEN)) as (coordinator, _):
        with pytest.raises(errors.GroupAuthorizationFailedError):
            await coordinator.fetch_committed_offsets([LANE])


def test_every_consumer_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GroupCoordinator", object)
    install()
    assert consumer.GroupCoordinator is AttentiveCoordinator
