"""Does Postgres slow down as its tables grow? ``python -m tests.bench.sink``, or ``make bench-sink``.

Outcomes go in through the sink's own adapter, as time would bring them: a partition a day, one after the other. Beside
it the layout of before, one table with one primary key. Nothing else runs; a point is taken each million rows or so.
Records are made between the measured stretches. The last line of the output is JSON.
"""

import asyncio
import hashlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psutil

from cli.retention import keep_up
from cli.stack import MIGRATIONS, failures
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome, Status
from pipeline.retention import RetentionPolicy
from stack.liquibase import Liquibase
from stack.lockfile import alone
from stack.ports import free_ports
from stack.postgres import Postgres, execute
from stack.processes import ProcessId
from stack.runner import Runner
from stack.signals import interruptible
from storage.postgres import PostgresOutcomes
from tests.bench import goals
from tests.bench.output import HOME as BENCHES
from tests.bench.output import begin, finish, record_option
from tests.bench.processes import cpu_seconds

NAME = "sink"
HOME = Path(".herald/bench-sink")
DAYS = 10
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
SHIPMENTS = 200_000
# Made at a time: enough to keep the writers busy, few enough to be held in memory.
CHUNK = 100_000
TIMEOUT_S = 60.0

CHANNELS, LANES = list(Channel), list(Lane)
# The same columns, checks and indexes in one table, whose key needs no time.
PLAIN = (
    "CREATE TABLE plain_outcome (LIKE notification_outcome INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
    "DROP VIEW unaccounted_notification",
    "DROP TABLE notification_outcome",
    "ALTER TABLE plain_outcome RENAME TO notification_outcome",
    "ALTER TABLE notification_outcome ADD PRIMARY KEY (notification_id)",
    "CREATE INDEX ON notification_outcome (shipment_id)",
    # What the adapter takes the columns of its staging table from.
    "CREATE TABLE notification_outcome_default (LIKE notification_outcome)",
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Of the rows since the last one: how fast, and CPU in µs a row, ours and that of all of Postgres' processes."""

    rows: int
    per_s: int
    client_us: float
    server_us: float


def outcomes(first: int, count: int, rows: int) -> list[Outcome]:
    """Those numbered from ``first`` on, of so many rows that are spread over `DAYS`."""
    return [_outcome(number, FIRST_DAY + DAY * DAYS * number / rows) for number in range(first, first + count)]


def _outcome(number: int, at: datetime) -> Outcome:
    digest = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return Outcome(
        notification_id=f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}",
        event_id=f"event-{digest[:16]}",
        shipment_id=f"BKG-{int(digest[:8], 16) % SHIPMENTS:08d}",
        channel=CHANNELS[number % 3],
        recipient=f"person-{digest[32:]}",
        status=Status.SENT,
        reason=None,
        provider="http-sms",
        provider_reference=digest[:24],
        attempts=1,
        template="ARRI",
        template_version=1,
        locale="en",
        lane=LANES[number % 2],
        created_at=at + timedelta(milliseconds=80),
        finished_at=at + timedelta(milliseconds=900),
        first_seen_at=at,
    )


def partitioned(dsn: str) -> None:
    """A partition a day, as `herald retention` would have made them on the first."""
    policy = RetentionPolicy(keep_days=400, step_days=1)
    keep_up(dsn, policy, FIRST_DAY)


def plain(dsn: str) -> None:
    execute(dsn, *PLAIN)


LAYOUTS: Mapping[str, Callable[[str], None]] = {"partitioned": partitioned, "plain": plain}


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A server of the run's own, with its first process. ClickException if another benchmark runs."""
    started: list[ProcessId] = []
    server = Postgres()
    runner = Runner(server, folder, threading.Event())
    with failures(), alone(BENCHES.absolute() / "lock", "another benchmark"), interruptible():
        shutil.rmtree(folder, ignore_errors=True)
        ports = free_ports(server.port_count)
        try:
            runner.start(ports, lambda *_, **__: None, lambda now: started.append(now) if now else None)
            yield server.address(ports), psutil.Process(started[-1].pid)
        finally:
            for process in started:
                runner.stop(process)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: str, lay_out: Callable[[str], None]) -> Iterator[str]:
    execute(server, "CREATE DATABASE herald_sink")
    dsn = urlsplit(server)._replace(path="/herald_sink").geturl()
    try:
        Liquibase(dsn, MIGRATIONS).update()
        lay_out(dsn)
        yield dsn
    finally:
        execute(server, "DROP DATABASE herald_sink WITH (FORCE)", timeout_s=TIMEOUT_S)


async def measure(
    dsn: str, main: psutil.Process, *, rows: int, points: int, batch: int, writers: int, tell: Callable[[Point], None]
) -> list[Point]:
    found: list[Point] = []
    store = PostgresOutcomes(dsn, timeout_s=TIMEOUT_S, pool_size=writers)
    await store.start()
    try:
        await asyncio.gather(*(store.ping() for _ in range(writers)))
        each = rows // points
        for point in range(points):
            seconds = client_s = server_s = 0.0
            for first in range(point * each, (point + 1) * each, CHUNK):
                made = outcomes(first, min(CHUNK, (point + 1) * each - first), rows)
                before, client, server = time.perf_counter(), time.process_time(), cpu_seconds(main.pid)
                await store_all(store, [made[at : at + batch] for at in range(0, len(made), batch)], writers)
                seconds += time.perf_counter() - before
                client_s += time.process_time() - client
                server_s += cpu_seconds(main.pid) - server
            found.append(
                Point(
                    rows=(point + 1) * each,
                    per_s=round(each / seconds),
                    client_us=round(client_s / each * 1e6, 1),
                    server_us=round(server_s / each * 1e6, 1),
                )
            )
            tell(found[-1])
    finally:
        await store.stop()
    return found


async def store_all(store: PostgresOutcomes, batches: Sequence[Sequence[Outcome]], writers: int) -> None:
    left = iter(batches)

    async def write() -> None:
        for one in left:
            result = await store.store_outcomes(one)
            assert (result.stored, result.rejected) == (len(one), ()), result

    await asyncio.gather(*(write() for _ in range(writers)))


@click.command()
@click.option("--rows", default=10_000_000, show_default=True)
@click.option("--points", default=10, show_default=True, help="How many figures are taken on the way.")
@click.option("--batch", default=5_000, show_default=True, help="Rows in one call, as a sink that is behind has them.")
@click.option("--writers", default=2, show_default=True, help="Connections.")
@click.option("--layout", "only", multiple=True, type=click.Choice(list(LAYOUTS)), help="Only these.")
@record_option
def sink(rows: int, points: int, batch: int, writers: int, only: tuple[str, ...], record: bool) -> None:
    """Fill the table of outcomes in both layouts, and say what each million costs."""
    out, load = begin(record), os.getloadavg()[0]
    report: dict[str, Any] = {}
    slow: list[int] = []
    for name, lay_out in LAYOUTS.items():
        if only and name not in only:
            continue
        with postgres(HOME.absolute()) as (server, main), database(server, lay_out) as dsn:

            def tell(point: Point, name: str = name) -> None:
                out.print(
                    f"{name:<12} {point.rows:>11,} rows  {point.per_s:>7,}/s  "
                    f"client {point.client_us:>5.1f} µs  server {point.server_us:>5.1f} µs"
                )

            found = asyncio.run(measure(dsn, main, rows=rows, points=points, batch=batch, writers=writers, tell=tell))
        report[name] = [asdict(point) for point in found]
        report[f"{name}_last_to_first"] = round(found[-1].per_s / found[0].per_s, 2)
        if name == "partitioned":
            slow = [point.rows for point in found if point.per_s < goals.ROWS_PER_S]
    for at in slow:
        out.print(f"✗ fewer than {goals.ROWS_PER_S:,} new rows a second with {at:,} rows in the partitioned table")
    report |= {"batch": batch, "writers": writers, "load_before": round(load, 2)}
    finish(out, NAME, report, details={}, plot=None, record=record and not slow)
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    sink()
