"""How is aiokafka's consumer kept honest? On Faust's thread for it, where its heartbeats and its errors come by."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.transport.drivers import aiokafka as driver
from mode.threads import MethodQueue

from streaming.lease import Lease

if TYPE_CHECKING:
    from streaming.app import ConsumerApp

# aiokafka has one fetch under way for each broker. One that asks for a lane without records alone keeps the other lanes
# of that broker waiting for as long as this; Faust has a second and a half. Shorter costs idle workers more requests.
FETCH_WAIT_MS = 200
# More than a role is meant to gather: time is what ends it, but for a backlog.
GATHER_BYTES = 4 << 20
# A broker that may wait for less answers with next to nothing, again and again; one that may not gather answers with
# the next record, and where there is none waits for `FETCH_WAIT_MS`.
LEAST_GATHER_MS = 15


class FetchThread(driver.AIOKafkaConsumerThread):
    """Room for a commit beside a fetch that waits and a question that nobody answers; heartbeats renew a lease.

    What aiokafka cannot go on from ends the process: it keeps such an error until it is asked for records, and Faust,
    which takes them from its fetcher, never asks. The group would go on without this worker, and without a word.
    """

    def __init__(self, consumer: Any, *, lease: Lease, **settings: Any) -> None:
        super().__init__(consumer, **settings)
        self._lease = lease

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        assert isinstance(coordinator, GroupCoordinator), "without a group nothing would renew the lease"
        keep = coordinator._push_error_to_user

        def ending(error: BaseException) -> Any:
            self._end(error)
            return keep(error)

        coordinator._push_error_to_user = ending
        for task in (coordinator._coordination_task, consumer._fetcher._fetch_task, consumer._client._sync_task):
            task.add_done_callback(self._on_ended)
        heartbeat = coordinator._do_heartbeat

        async def renewing() -> bool:
            asked_at = self._lease.now()
            if confirmed := await heartbeat():
                self._lease.renew(asked_at)
            elif coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
                self._lease.end()
            return bool(confirmed)

        coordinator._do_heartbeat = renewing

    def gather(self, seconds: float) -> None:
        """Let the broker gather for so long what comes before it answers a fetch; below `LEAST_GATHER_MS`, not at all.

        A fetch that is under way is not changed.
        """
        fetcher = self._ensure_consumer()._fetcher
        wait_ms = int(seconds * 1_000)
        gathers = wait_ms >= LEAST_GATHER_MS
        # Plain numbers, that the client's thread reads as it makes a request.
        fetcher._fetch_min_bytes = GATHER_BYTES if gathers else 1
        fetcher._fetch_max_wait_ms = wait_ms if gathers else FETCH_WAIT_MS

    def _on_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        if not self.app.should_stop:
            cast("ConsumerApp", self.app).engine.fail(error)

    @property
    def method_queue(self) -> MethodQueue:
        if self._method_queue is None:
            self._method_queue = MethodQueue(num_workers=4, loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue
