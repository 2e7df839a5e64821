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
    with local_pipeline(endpoints, folder, overrides={}) as pipeline:
        for kind, milliseconds in latency_ms.items():
            pipeline.simulators[kind].set_faults(Faults(latency_ms=milliseconds))
        subscribe(endpoints.kafka, (subscription(number) for number in range(shipments)))
        yield side_of(pipeline, per_event=sum(len(one.addresses) for one in subscription(0).recipients))


def side_of(pipeline: LocalPipeline, *, per_event: int) -> Side:
    """The pipeline as it is now, which from now on no worker may leave."""
    since, restarts = datetime.now(UTC), pipeline.supervisor.restarts()

    async def count_sent(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        sent = await account.count_sent(connection, since)
        assert pipeline.supervisor.restarts() == restarts, "a worker was started again: its CPU is not in the figures"
        return sent

    return Side(
        endpoints=pipeline.endpoints,
        workers=pids(pipeline),
        readers=workers_of(pipeline, Role.ENRICH),
        status_topic=topics.STATUS,
        per_event=per_event,
        outcomes=OUTCOME_TABLE,
        others=[LEDGER_TABLE],
        simulators=pipeline.simulators,
        count_sent=count_sent,
    )


def subscribe(kafka: str, subscriptions: Iterator[Subscription], *, timeout_s: float = 60.0) -> None:
    """Returns when enrich has committed them."""
    publish(kafka, topics.SUBSCRIPTIONS, ((one.shipment_id.encode(), encode(one)) for one in subscriptions))
    wait_until(
        lambda: not lag(kafka, topics.group(Role.ENRICH), topics.SUBSCRIPTIONS),
        "subscriptions are not consumed",
        timeout_s,
    )


def pids(pipeline: LocalPipeline) -> dict[str, int]:
    workers = pipeline.supervisor.workers.values()
    return {worker.name: worker.process.pid for worker in workers if worker.process is not None}


def workers_of(pipeline: LocalPipeline, role: Role) -> list[str]:
    return [worker.name for worker in pipeline.supervisor.workers.values() if worker.role is role]
