"""How is a side measured? The same way for both, from outside: neither knows that it is.

A side has started, its consumers have joined, nothing is to be done. Whoever reads the status topic is stopped
(SIGSTOP), the topic filled, and at the moment that they are let go on the clock starts. It ends when the last
notification's row is committed, of which a trigger tells. CPU is counted until all rows are there, and for the moment
that it takes to be sure of it.
"""

import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from simulators.launch import Kind, Simulator
from stack import Endpoints
from tests.bench.gauges import RowWatch
from tests.bench.kafka import ASK_TIMEOUT_S, publish
from tests.bench.processes import Meter, children, peak_bytes
from tests.bench.run import Run
from tests.bench.servers import Servers
from tests.bench.work import Keyed

TIMEOUT_S = 300.0
# Well within the consumers' session: one that is stopped for longer is expelled.
MAX_STOPPED_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """Started, and waiting for events on ``status_topic``, which ``readers`` of the ``workers`` read.

    An event becomes ``per_event`` notifications, each a row of ``outcomes``; ``others`` are tables that get a row an
    event. ``count_sent`` says how many notifications have ended well, and raises where anything else is wrong.
    """

    endpoints: Endpoints
    workers: Mapping[str, int]
    readers: Sequence[str]
    status_topic: str
    per_event: int
    outcomes: str
    others: Sequence[str]
    simulators: Mapping[Kind, Simulator]
    count_sent: Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[int]]


async def measure(side: Side, servers: Servers, events: Sequence[Keyed]) -> Run:
    """Raises TimeoutError where not everything ends."""
    total = len(events) * side.per_event
    meter = Meter(
        workers=side.workers, servers={**servers.pids, **children("simulators.")}, kafka_data=servers.kafka_data
    )
    connection = await asyncpg.connect(side.endpoints.postgres, timeout=ASK_TIMEOUT_S)
    try:
        watch = RowWatch(connection)
        await watch.start([side.outcomes, *side.others])
        with stopped([side.workers[name] for name in side.readers]):
            publish(side.endpoints.kafka, side.status_topic, events)
            before = meter.read()
            start = time.perf_counter()
        await watch.wait_for({side.outcomes: total, **dict.fromkeys(side.others, len(events))}, TIMEOUT_S)
        after = meter.read()
        peaks = {name: peak_bytes(pid) for name, pid in side.workers.items()}
        losses = await count_losses(side, connection, total)
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)
    return Run(
        notifications=total,
        seconds=watch.last_at[side.outcomes] - start,
        cpu_s={name: after.workers_s[name] - seconds for name, seconds in before.workers_s.items()},
        server_cpu_s={name: after.servers_s[name] - seconds for name, seconds in before.servers_s.items()},
        peak_bytes=peaks,
        log_bytes=after.log_bytes - before.log_bytes,
        lost=losses.lost,
        duplicates=losses.duplicates,
    )


@dataclass(frozen=True)
class Losses:
    """Of notifications that were to be told."""

    lost: int
    duplicates: int


async def count_losses(side: Side, connection: "asyncpg.Connection[asyncpg.Record]", total: int) -> Losses:
    """What of ``total`` did not end well or was not heard by a provider, and what there is beyond that of either."""
    sent = await side.count_sent(connection)
    told = [simulator.summary() for simulator in side.simulators.values()]
    heard = min(total, sum(one.distinct for one in told))
    again = sum(one.messages for one in told) - heard
    return Losses(lost=total - min(sent, heard), duplicates=again + max(sent - total, 0))


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Raises RuntimeError where that was for so long that the consumers have been expelled."""
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
        if time.monotonic() - began > MAX_STOPPED_S:
            raise RuntimeError(f"filling the topic took more than {MAX_STOPPED_S:g} s: measure with fewer events")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
