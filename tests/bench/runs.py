"""One run of either side, on servers that are there, from first event to last row; everything is checked afterwards.

Both sides start ready: topics filled, consumers joined. The clock of the hand-written job starts with its first
fetch; that of Cargo Herald when its enrich worker, stopped while the topic was filled, is let go on.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import topics
from cli.account import take_account, told
from cli.local import LocalPipeline, local_pipeline
from cli.stack import prepare
from pipeline.ledger import Disposition
from pipeline.subscriptions import Subscription
from settings import Role
from simulators.faults import Faults
from simulators.launch import Kind, Simulator
from stack import Endpoints
from stack.postgres import execute
from tests.bench.gauges import RowWatch, cpu_seconds
from tests.bench.work import SHIPMENTS, Keyed, encode, status_events

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "herald_bench_template"
DATABASE = "herald_bench"
TIMEOUT_S = 300.0
ASK_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.1
# Well within the consumer's session: a worker that is stopped for longer is expelled.
MAX_STOPPED_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """``cpu_s`` by worker; ``lost`` and ``duplicates`` count notifications."""

    notifications: int
    seconds: float
    cpu_s: Mapping[str, float]
    lost: int
    duplicates: int

    @property
    def per_s(self) -> float:
        return self.notifications / self.seconds

    @property
    def cpu_us(self) -> float:
        return sum(self.cpu_s.values()) / self.notifications * 1e6

    def role_us(self, role: str) -> float:
        return self.cpu_s[role] / self.notifications * 1e6


def make_template(endpoints: Endpoints) -> None:
    """A database with the schema, to be copied for each run."""
    execute(endpoints.postgres, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    prepare(Endpoints(kafka=endpoints.kafka, postgres=_database(endpoints, TEMPLATE), redis=endpoints.redis))


@contextmanager
def clean_slate(endpoints: Endpoints) -> Iterator[Endpoints]:
    """A database of the run's own, an empty Redis, and afterwards no topic left."""
    execute(
        endpoints.postgres,
        f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)",
        f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}",
        "CHECKPOINT",
    )
    with redis.Redis.from_url(endpoints.redis, socket_timeout=ASK_TIMEOUT_S) as client:
        client.flushall()
    try:
        yield Endpoints(kafka=endpoints.kafka, postgres=_database(endpoints, DATABASE), redis=endpoints.redis)
    finally:
        _delete_topics(endpoints.kafka)


def _database(endpoints: Endpoints, name: str) -> str:
    return urlsplit(endpoints.postgres)._replace(path=f"/{name}").geturl()


def _delete_topics(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=ASK_TIMEOUT_S).topics if not name.startswith("__")]

    if names := left():
        for deleted in admin.delete_topics(names).values():
            deleted.result(ASK_TIMEOUT_S)
    _wait_until(lambda: not left(), "the topics are still there")


def run_baseline(endpoints: Endpoints, folder: Path, *, events: int, seed: str, latency_ms: float) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sms.ndjson").unlink(missing_ok=True)
    with clean_slate(endpoints) as own, Simulator(Kind.SMS, folder) as provider:
        provider.set_faults(Faults(latency_ms=latency_ms))
        command = [
            *(sys.executable, "-m", "tests.bench.baseline", "--events", str(events), "--seed", seed),
            *("--kafka", own.kafka, "--postgres", own.postgres, "--redis", own.redis),
            *("--provider", provider.environment()["HERALD_SMS_URL"], "--timeout-s", str(TIMEOUT_S)),
        ]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=2 * TIMEOUT_S, check=True)
        summary = provider.summary()
        report = msgspec.json.decode(done.stdout)
        rows = asyncio.run(_count(own.postgres, "baseline_outcome"))
    return Run(
        notifications=report["notifications"],
        seconds=report["seconds"],
        cpu_s={"all": report["cpu_seconds"]},
        lost=report["notifications"] - min(rows, summary.distinct),
        duplicates=summary.messages - summary.distinct,
    )


async def _count(dsn: str, table: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=ASK_TIMEOUT_S)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}", timeout=ASK_TIMEOUT_S))  # noqa: S608 our own name
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)


def run_herald(
    endpoints: Endpoints,
    folder: Path,
    *,
    events: int,
    seed: str,
    latency_ms: Mapping[Kind, float],
    subscription: Callable[[int], Subscription],
) -> Run:
    """All roles with the settings that they ship with, a process each."""
    with clean_slate(endpoints) as own, local_pipeline(own, folder, overrides={}) as pipeline:
        for kind, milliseconds in latency_ms.items():
            pipeline.simulators[kind].set_faults(Faults(latency_ms=milliseconds))
        subscriptions = [subscription(number) for number in range(SHIPMENTS)]
        _publish(own.kafka, topics.SUBSCRIPTIONS, [(one.shipment_id.encode(), encode(one)) for one in subscriptions])
        _wait_until(lambda: not _lag(own.kafka, Role.ENRICH, topics.SUBSCRIPTIONS), "subscriptions are not consumed")
        each = sum(len(one.addresses) for one in subscriptions[0].recipients)
        return asyncio.run(_measure(pipeline, list(status_events(seed, events)), events * each))


async def _measure(pipeline: LocalPipeline, events: list[Keyed], total: int) -> Run:
    since = datetime.now(UTC)
    connection = await asyncpg.connect(pipeline.endpoints.postgres, timeout=ASK_TIMEOUT_S)
    try:
        watch = RowWatch(connection)
        await watch.start()
        workers = pipeline.supervisor.workers.values()
        pids = {worker.name: worker.process.pid for worker in workers if worker.process is not None}
        with _stopped(pids[Role.ENRICH]):
            _publish(pipeline.endpoints.kafka, topics.STATUS, events)
            cpu = cpu_seconds(pids)
            start = time.perf_counter()
        await watch.wait_for({"notification_outcome": total, "event_ledger": len(events)}, TIMEOUT_S)
        cpu = {name: after - cpu[name] for name, after in cpu_seconds(pids).items()}
        account = await take_account(connection, since)
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)
    summaries = told(pipeline.simulators).values()
    sent = sum(count for (_, status), count in account.outcomes.items() if status == "sent")
    assert account.dispositions == {Disposition.ACCEPTED: len(events)}, account.dispositions
    assert sent == account.ended, account.outcomes
    assert not any(pipeline.supervisor.restarts().values()), "a worker was started again: its CPU is not in the figure"
    return Run(
        notifications=total,
        seconds=watch.last_at["notification_outcome"] - start,
        cpu_s=cpu,
        lost=total - min(sent, sum(one.distinct for one in summaries)) + account.unaccounted,
        duplicates=sum(one.messages - one.distinct for one in summaries),
    )


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        if time.monotonic() - began > MAX_STOPPED_S:
            raise RuntimeError(f"filling the topic took more than {MAX_STOPPED_S:g} s: measure with fewer events")
    finally:
        os.kill(pid, signal.SIGCONT)


def _publish(kafka: str, topic: str, records: Iterable[Keyed]) -> None:
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 5})
    for key, value in records:
        producer.produce(topic, value, key)
        producer.poll(0)
    if left := producer.flush(ASK_TIMEOUT_S):
        raise RuntimeError(f"{left} records did not reach {topic}")


def _lag(kafka: str, role: Role, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"herald-{role}", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=ASK_TIMEOUT_S).topics[topic].partitions
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        ends = sum(consumer.get_watermark_offsets(one, timeout=ASK_TIMEOUT_S)[1] for one in wanted)
        return ends - sum(max(0, one.offset) for one in consumer.committed(wanted, timeout=ASK_TIMEOUT_S))
    finally:
        consumer.close()


def _wait_until(holds: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(LOOK_EVERY_S)
