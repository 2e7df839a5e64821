"""A broker that cannot say how far a group has got is asked again; a group is new only where one says so."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.consumer import consumer
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetCommitResponse_v2, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

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
        self.commits: list[tuple[int, str]] = []
        self.cluster = type("Cluster", (), {"add_listener": lambda self, listener: None})()

    async def send(self, node: int, request: Any, *, group: Any = None) -> Any:
        if isinstance(request, OffsetCommitRequest):
            prepared = request.prepare({OffsetCommitRequest.API_KEY: (0, 2)})
            self.commits.append((prepared.consumer_group_generation_id, prepared.consumer_id))
            return OffsetCommitResponse_v2([(LANE.topic, [(LANE.partition, 0)])])
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


@pytest.mark.parametrize(
    ("generation", "commits"),
    [
        pytest.param(3, [(3, "me")], id="a member"),
        pytest.param(OffsetCommitRequest.DEFAULT_GENERATION_ID, [], id="given up"),
    ],
)
async def test_only_a_member_commits(generation: int, commits: list[tuple[int, str]]) -> None:
    """Kafka would take it from anybody while the group is empty, though others have got further since."""
    async with asking() as (coordinator, client):
        coordinator.generation, coordinator.member_id = generation, "me"
        given_up = pytest.raises(errors.CommitFailedError) if not commits else nullcontext()
        with given_up:
            await coordinator.commit_offsets(None, {LANE: OffsetAndMetadata(5, "")})
    assert client.commits == commits


def test_every_consumer_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "GroupCoordinator", object)
    install()
    assert consumer.GroupCoordinator is AttentiveCoordinator
