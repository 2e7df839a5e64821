"""What is a Faust app of ours? Faust's worker, groups, tables and recovery, with our way in and our way out."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

import faust
import psutil
import structlog
from faust.app.base import BootStrategy

from observability.faust_worker import Worker
from observability.metrics import Metrics
from streaming import connection, coordinator, records
from streaming.assignor import PresentAssignor
from streaming.broker import BrokerUnavailable, wait_for_topics
from streaming.codec import IDENTITY
from streaming.consumer import FetchConsumer, FetchTransport
from streaming.engine import Engine
from streaming.halt import Halt
from streaming.lease import Lease
from streaming.member import MembersProducer, heartbeat_s, stale_after
from streaming.producer import DELIVERY_TIMEOUT_S, Producer, RecordSink
from streaming.recovery import Tables
from streaming.store_options import allow_many_files
from streaming.table import ChangelogTable
from streaming.watchdog import Patience, end_after, end_process, keep_beating, watch

log = structlog.get_logger(__name__)

# After the drain: a last commit, RocksDB closed, the group left.
LEAVE_S = 15.0
# Faust ends a consumer that is idle for this long, and it may not come back: the watchdog looks instead.
NEVER_S = 7 * 86_400.0


class Opened(Protocol):
    """Something that is open while the worker runs: a provider, a pool, an HTTP server."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class WorkerPolicy:
    """How one worker behaves; seconds and records.

    ``gather_s`` is for a role whose turn costs the same for one record as for many: under load, records are gathered
    for so long before a fetch brings them (`streaming.pace`).
    """

    group: str
    kafka: str
    partitions: int
    replication_factor: int
    data_dir: Path
    instance_id: str | None
    session_timeout_s: float
    commit_interval_s: float
    drain_timeout_s: float
    stuck_timeout_s: float
    start_timeout_s: float
    fetch_messages: int
    topics: tuple[str, ...]
    gather_s: float = 0.0


class RoleApp(faust.App):
    """What every role has: a producer, and things that are open while it runs."""

    def __init__(
        self,
        policy: WorkerPolicy,
        metrics: Metrics,
        *,
        end: Callable[[str], NoReturn] = end_process,
        stale_after_s: float = DELIVERY_TIMEOUT_S,
        **settings: Any,
    ) -> None:
        policy.data_dir.mkdir(parents=True, exist_ok=True)
        self.policy = policy
        self.metrics = metrics
        self.end = end
        self.halt = Halt(metrics.halted)
        self._kafka_out = Producer(policy.kafka, on_produced=metrics.produced, stale_after_s=stale_after_s)
        self.records_out: RecordSink = self._kafka_out
        self.to_open: list[Opened] = []
        self._opened: list[Opened] = []
        super().__init__(
            policy.group,
            broker=[f"kafka://{address}" for address in policy.kafka.split(",")],
            datadir=policy.data_dir,
            web_enabled=False,
            # On by default, on every address, and it shows table rows.
            web_tables_enabled=False,
            Worker=Worker,
            **settings,
        )

    async def on_start(self) -> None:
        try:
            await wait_for_topics(self.policy.kafka, self.policy.topics, self.policy.start_timeout_s)
        except BrokerUnavailable as error:
            self.end(str(error))
        self.add_future(keep_beating(self.policy.stuck_timeout_s, self.end))
        self._kafka_out.start()
        for one in self.to_open:
            await one.start()
            self._opened.append(one)
        await super().on_start()

    async def on_started(self) -> None:
        await super().on_started()
        # Records are many, short-lived and without cycles: left to its defaults, the collector looks through all that
        # is in flight again and again, for a fifth of the worker's time.
        gc.freeze()
        gc.set_threshold(100_000, 50, 1_000)

    def _crash(self, reason: BaseException) -> None:
        # Faust would tidy up first, and may wait a minute for what has crashed.
        if not self.should_stop:
            self.end(f"{type(reason).__name__}: {reason}")
        super()._crash(reason)

    async def on_stop(self) -> None:
        # Faust waits without a limit for what does not end.
        limit = end_after(self.policy.drain_timeout_s + LEAVE_S, "could not stop in time")
        await super().on_stop()
        while self._opened:
            await self._opened.pop().stop()
        await self._kafka_out.stop()
        limit.cancel()


class WithoutConsumer(BootStrategy):
    enable_kafka = False


class ServiceApp(RoleApp):
    """A role without a consumer group of Faust's: it only keeps its services open."""

    BootStrategy = WithoutConsumer
    producer_only = True


class ConsumerApp(RoleApp):
    """A role that consumes: fetches in, watermark commits, tables of its own."""

    def __init__(self, policy: WorkerPolicy, metrics: Metrics, *, end: Callable[[str], NoReturn] = end_process) -> None:
        super().__init__(
            policy,
            metrics,
            end=end,
            stale_after_s=stale_after(policy.session_timeout_s),
            store="rocksdb://",
            Table=ChangelogTable,
            TableManager=Tables,
            PartitionAssignor=PresentAssignor,
            # Faust empties the queue of changelog records when it lets go, and with it rows of standbys.
            table_standby_replicas=0,
            topic_partitions=policy.partitions,
            topic_replication_factor=policy.replication_factor,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=policy.instance_id,
            # Of each partition so much may wait in aiokafka beside the windows. A larger batch comes whole, by itself:
            # Kafka hands out the first of a fetch whatever its size, and aiokafka shuffles who is first.
            consumer_max_fetch_size=4 << 20,
            broker_max_poll_records=policy.fetch_messages,
            broker_max_poll_interval=NEVER_S,
            broker_session_timeout=policy.session_timeout_s,
            broker_heartbeat_interval=heartbeat_s(policy.session_timeout_s),
            broker_rebalance_timeout=max(60.0, 2 * policy.drain_timeout_s),
            broker_commit_every=None,
            broker_commit_interval=policy.commit_interval_s,
            stream_wait_empty=True,
            stream_buffer_maxsize=1024,
        )
        # What is handed to the Kafka client under the lease goes stale within the rest of the session.
        self.lease = Lease(policy.session_timeout_s - stale_after(policy.session_timeout_s))
        self.engine = Engine(
            drain_timeout_s=policy.drain_timeout_s, halt=self.halt, is_member=self.lease.is_held, end=end
        )
        self.patience = Patience(policy.stuck_timeout_s)
        self._has_started = False
        self.records_out = MembersProducer(self._kafka_out, self.engine.membership, lambda: self.engine.assignments)

    @property
    def fetch_consumer(self) -> FetchConsumer:
        return cast(FetchConsumer, self.consumer)

    def batched_topic(self, *names: str, window: int) -> faust.TopicT:
        """Topics that arrive in whole fetches, with at most about ``window`` records in flight between them."""
        self.engine.in_flight.share_window(names, window)
        return self.topic(
            *names,
            partitions=self.policy.partitions,
            key_type=bytes,
            key_serializer="raw",
            value_serializer=IDENTITY,
        )

    def consumer_is_ready(self) -> bool:
        """Partitions are assigned, tables recovered, records may flow."""
        return self.started and self.fetch_consumer.is_open

    async def on_start(self) -> None:
        await super().on_start()
        self.add_future(watch(self, self.patience))

    def on_rebalance_end(self) -> None:
        """Faust's last step of a recovery, after it has emptied its queues: from here on records may come."""
        super().on_rebalance_end()
        assigned = self.fetch_consumer.prepared()
        if assigned is None:
            return
        takeover_s = time.monotonic() - self.fetch_consumer.assigned_at
        self.metrics.rebalanced(takeover_s)
        if not self._has_started:
            self._has_started = True
            self.metrics.started(time.time() - psutil.Process().create_time())
        for table in self.tables.values():
            if missing := {tp.partition for tp in assigned} - cast(ChangelogTable, table).partitions_here():
                # The assignor leaves out a changelog that it has not heard of yet; a new join brings it.
                self.end(f"partitions {sorted(missing)} came without their table {table.name}")
        self.engine.assigned(assigned)
        self.fetch_consumer.open(assigned)
        log.info(
            "partitions taken over",
            partitions=len(assigned),
            generation=self.consumer_generation_id,
            takeover_s=round(takeover_s, 2),
        )

    def _new_transport(self) -> FetchTransport:
        records.install()
        connection.install()
        coordinator.install()
        allow_many_files()
        return FetchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> FetchTransport:
        return FetchTransport(self.conf.broker_producer, self)
