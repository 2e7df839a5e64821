"""What aiokafka cannot go on from ends the worker; it is kept for a user who asks, and Faust does not ask."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from streaming.lease import Lease
from streaming.thread import FetchThread

TIMEOUT_S = 5.0
FENCED = 82


class Unassignable(RoundRobinPartitionAssignor):
    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        raise AssertionError("no place for a partition")


class Client:
    """A broker whose group makes its only member the leader at once; ``codes`` are what it answers, else 0."""

    def __init__(self, codes: dict[type, int]) -> None:
        self.cluster = SimpleNamespace(
            partitions_for_topic=lambda topic: {0}, add_listener=lambda listener: None, topics=lambda internal: {"t"}
        )
        self._codes = codes
        self._sync_task = asyncio.create_task(asyncio.sleep(3600))

    async def send(self, node: int, request: Any, *, group: Any = None) -> Any:
        await asyncio.sleep(0)
        answer = SimpleNamespace(error_code=self._codes.get(type(request), 0), API_VERSION=5)
        if isinstance(request, JoinGroupRequest):
            answer.generation_id, answer.group_protocol = 1, "roundrobin"
            answer.leader_id = answer.member_id = "m"
            answer.members = [("m", None, request._group_protocols[0][1])]
        if isinstance(request, SyncGroupRequest):
            answer.member_assignment = request._group_assignment[0][1]
        return answer

    async def ready(self, node: int, *, group: Any = None) -> bool:
        return True

    async def coordinator_lookup(self, kind: Any, key: str) -> int:
        return 1

    async def _maybe_wait_metadata(self) -> None: ...

    def set_topics(self, topics: set[str]) -> None: ...


class Thread(FetchThread):
    """With a consumer of the test's own; no thread is started."""

    def __init__(self, app: Any, consumer: Any) -> None:
        self._lease, self.app, self._made = Lease(10.0), app, consumer

    async def on_start(self) -> None:
        self.thread_loop = asyncio.get_running_loop()
        await super().on_start()

    def _create_consumer(self, loop: Any) -> Any:
        return self._made


async def ended_with(
    assignor: type[RoundRobinPartitionAssignor],
    codes: dict[type, int],
    then: Callable[[Any], Awaitable[None]],
) -> list[str]:
    ended: list[str] = []
    client, subscription = Client(codes), SubscriptionState()
    subscription.register_fetch_waiters(set())
    coordinator = GroupCoordinator(
        client,
        subscription,
        group_id="g",
        group_instance_id="one",
        heartbeat_interval_ms=50,
        enable_auto_commit=False,
        assignors=(assignor,),
    )
    broken = asyncio.get_running_loop().create_future()

    async def fetch() -> None:
        await broken

    fetcher = SimpleNamespace(_fetch_task=asyncio.create_task(fetch()), broken=broken)

    async def start() -> None: ...

    consumer = SimpleNamespace(_coordinator=coordinator, _client=client, _fetcher=fetcher, start=start)
    engine = SimpleNamespace(fail=lambda error: ended.append(repr(error)))
    app = SimpleNamespace(should_stop=False, engine=engine)
    await Thread(app, consumer).on_start()
    subscription.subscribe({"t"})
    try:
        await then(SimpleNamespace(ended=ended, fetcher=fetcher, client=client, subscription=subscription))
        app.should_stop = True
        await asyncio.wait_for(coordinator.close(), TIMEOUT_S)
    finally:
        for task in (fetcher._fetch_task, client._sync_task):
            task.cancel()
    return ended


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("assignor", "codes"),
    [
        (Unassignable, {}),
        (RoundRobinPartitionAssignor, {JoinGroupRequest: FENCED}),
        (RoundRobinPartitionAssignor, {SyncGroupRequest: FENCED}),
        (RoundRobinPartitionAssignor, {HeartbeatRequest: FENCED}),
    ],
)
def test_what_the_group_cannot_go_on_from_ends_the_worker(assignor: Any, codes: dict[type, int]) -> None:
    async def then(made: Any) -> None:
        await until(lambda: made.ended)

    assert len(asyncio.run(ended_with(assignor, codes, then))) == 1


def test_a_worker_in_a_group_goes_on() -> None:
    async def then(made: Any) -> None:
        await until(made.subscription.assigned_partitions)
        await asyncio.sleep(0.2)

    assert asyncio.run(ended_with(RoundRobinPartitionAssignor, {}, then)) == []


def test_a_fetcher_that_dies_ends_the_worker() -> None:
    async def then(made: Any) -> None:
        made.fetcher.broken.set_exception(RuntimeError("broken"))
        await until(lambda: made.ended)

    assert asyncio.run(ended_with(RoundRobinPartitionAssignor, {}, then)) == ["RuntimeError('broken')"]
