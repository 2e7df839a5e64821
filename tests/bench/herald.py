"""How does Cargo Herald start for a benchmark? As `make demo` starts it: a process each role, no setting changed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

import topics
from cli.local import LocalPipeline, local_pipeline
from pipeline.subscriptions import Subscription
from settings import Role
from simulators.faults import Faults
from simulators.launch import Kind
from stack import Endpoints
from tests.bench import account
from tests.bench.kafka import lag, publish, wait_until
from tests.bench.measure import Side
from tests.bench.work import SHIPMENTS, encode

LEDGER_TABLE = "event_ledger"
OUTCOME_TABLE = "notification_outcome"


@contextmanager
def herald(
    endpoints: Endpoints,
    folder: Path,
    *,
    latency_ms: Mapping[Kind, float],
    subscription: Callable[[int], Subscription],
    shipments: int = SHIPMENTS,
) -> Iterator[Side]:
    """Subscriptions are known when this has started."""
    since = datetime.now(UTC)
    with local_pipeline(endpoints, folder, overrides={}) as pipeline:
        for kind, milliseconds in latency_ms.items():
            pipeline.simulators[kind].set_faults(Faults(latency_ms=milliseconds))
        subscribe(endpoints.kafka, (subscription(number) for number in range(shipments)))
        first = subscription(0)

        async def count_sent(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
            """Every event was accepted, every notification sent, and no worker's CPU is missing."""
            sent = await account.count_sent(connection, since)
            assert not any(pipeline.supervisor.restarts().values()), "a worker was started again"
            return sent

        yield Side(
            endpoints=endpoints,
            workers=pids(pipeline),
            readers=workers_of(pipeline, Role.ENRICH),
            status_topic=topics.STATUS,
            per_event=sum(len(one.addresses) for one in first.recipients),
            outcomes=OUTCOME_TABLE,
            others=[LEDGER_TABLE],
            simulators=pipeline.simulators,
            count_sent=count_sent,
        )


def subscribe(kafka: str, subscriptions: Iterator[Subscription], *, timeout_s: float = 60.0) -> None:
    """Returns when enrich has committed them."""
    publish(kafka, topics.SUBSCRIPTIONS, ((one.shipment_id.encode(), encode(one)) for one in subscriptions))
    wait_until(
        lambda: not lag(kafka, f"herald-{Role.ENRICH}", topics.SUBSCRIPTIONS),
        "subscriptions are not consumed",
        timeout_s,
    )


def pids(pipeline: LocalPipeline) -> dict[str, int]:
    workers = pipeline.supervisor.workers.values()
    return {worker.name: worker.process.pid for worker in workers if worker.process is not None}


def workers_of(pipeline: LocalPipeline, role: Role) -> list[str]:
    return [worker.name for worker in pipeline.supervisor.workers.values() if worker.role is role]
