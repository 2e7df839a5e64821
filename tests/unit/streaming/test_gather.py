"""What a role gathers is gathered by the broker: a fetch says for how long."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from streaming.consumer import FetchConsumer
from streaming.lease import Lease
from streaming.pace import BUSY_PER_S
from streaming.thread import FETCH_WAIT_MS, GATHER_BYTES, LEAST_GATHER_MS, FetchThread

TIMEOUT_S = 5.0
PARTITION = TopicPartition("t", 0)


class Client:
    """A broker that notes what it is asked for and has nothing."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 300_000
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: 1)
        self.asked: asyncio.Queue[FetchRequest] = asyncio.Queue()

    async def send(self, node: int, request: Any, *, group: Any = None) -> Any:
        await self.asked.put(request)
        await asyncio.sleep(0.01)
        return SimpleNamespace(topics=[], API_VERSION=4)

    async def ready(self, node: int, *, group: Any = None) -> bool:
        return True


class Thread(FetchThread):
    """With a fetcher of aiokafka's; no thread is started."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._lease, self._consumer = Lease(10.0), SimpleNamespace(_fetcher=fetcher)


async def asked_after(*gathers_s: float) -> tuple[int, int]:
    """How many bytes the broker is to wait for, and for how many ms, once these have been said."""
    client, subscription = Client(), SubscriptionState()
    subscription.register_fetch_waiters(set())
    fetcher = Fetcher(client, subscription, fetch_max_wait_ms=FETCH_WAIT_MS)
    try:
        thread = Thread(fetcher)
        for seconds in gathers_s:
            thread.gather(seconds)
        subscription.subscribe({"t"})
        subscription.assign_from_subscribed([PARTITION])
        subscription.subscription.assignment.state_value(PARTITION).seek(0)
        async with asyncio.timeout(TIMEOUT_S):
            request = (await client.asked.get()).prepare({FetchRequest.API_KEY: (4, 4)})
        return request.min_bytes, request.max_wait_time
    finally:
        await fetcher.close()


@pytest.mark.parametrize(
    ("gathers_s", "asked"),
    [
        ((0.05,), (GATHER_BYTES, 50)),
        ((LEAST_GATHER_MS / 1_000,), (GATHER_BYTES, LEAST_GATHER_MS)),
        ((LEAST_GATHER_MS / 1_000 - 0.001,), (1, FETCH_WAIT_MS)),
        ((0.2, 0.0), (1, FETCH_WAIT_MS)),
    ],
)
def test_the_broker_is_asked_to_wait_for_as_long_as_is_gathered(
    gathers_s: tuple[float, ...], asked: tuple[int, int]
) -> None:
    assert asyncio.run(asked_after(*gathers_s)) == asked


@pytest.mark.parametrize(("gather_s", "asks_for"), [(0.2, [0.2 * 1_000 / BUSY_PER_S]), (0.0, [])])
def test_what_a_fetch_has_brought_tells_how_long_is_gathered(gather_s: float, asks_for: list[float]) -> None:
    said: list[float] = []
    delivered: list[Any] = []
    stopped = asyncio.Event()

    class Drained(FetchConsumer):
        flow_active = True

        def __init__(self) -> None:
            self.app = SimpleNamespace(policy=SimpleNamespace(gather_s=gather_s))  # type: ignore[assignment]
            self._thread = SimpleNamespace(gather=said.append)  # type: ignore[assignment]
            self._stopped = stopped  # type: ignore[assignment]

        async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 as Faust names it
            stopped.set()
            return {PARTITION: [None] * 1_000}, None

        async def _deliver(self, fetched: Any) -> None:
            delivered.append(fetched)

    asyncio.run(Drained()._drain_messages(SimpleNamespace(_stopped=asyncio.Event())))
    assert len(delivered) == 1
    assert said == asks_for
