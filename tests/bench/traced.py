"""How is a paced feed followed? Published at its times, awaited to its last row, traced and accounted for after it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from tests.bench.gauges import wait_for_rows
from tests.bench.kafka import ASK_TIMEOUT_S
from tests.bench.measure import Losses, Side, count_losses
from tests.bench.pace import Due, Feed
from tests.bench.traces import Trace, mark, read_traces

SETTLE_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Traced:
    """``late_s``: how far the feed was behind its times at worst."""

    traces: Sequence[Trace]
    losses: Losses
    late_s: float


async def trace(side: Side, due: Sequence[Due], *, linger_ms: int = 5, events_before: int = 0) -> Traced:
    """``events_before`` have been given to the same pipeline, and have ended. Raises TimeoutError."""
    events = events_before + len(due)
    since, since_s = mark(side.endpoints.kafka), time.time()
    feed = Feed(side.endpoints.kafka, side.status_topic, due, linger_ms=linger_ms)
    feed.start()
    await asyncio.to_thread(feed.wait)
    connection = await asyncpg.connect(side.endpoints.postgres, timeout=ASK_TIMEOUT_S)
    try:
        total = events * side.per_event
        await wait_for_rows(connection, notifications=total, events=events, timeout_s=SETTLE_TIMEOUT_S)
        losses = await count_losses(side, connection, total)
        traces = await read_traces(side.endpoints.kafka, connection, side.simulators.values(), since, since_s)
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)
    return Traced(traces=traces, losses=losses, late_s=feed.late_s)
