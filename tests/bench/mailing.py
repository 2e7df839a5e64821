"""Does one mass mailing end, with flat memory? ``python -m tests.bench.mailing``.

A million notifications from a thousand events, each told to a thousand people by SMS. All events are there at once;
every role runs as shipped. The account must close: nothing lost, nobody told twice. The last line is JSON.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import click
from rich.console import Console

from pipeline.subscriptions import MAX_RECIPIENTS
from simulators.launch import Kind
from tests.bench import goals
from tests.bench.gauges import RowWatch
from tests.bench.herald import herald
from tests.bench.kafka import ASK_TIMEOUT_S, publish
from tests.bench.mailing_plot import plot
from tests.bench.measure import Losses, Side, count_losses
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.samples import Sample, growth, sample_until_cancelled
from tests.bench.servers import bench_servers
from tests.bench.work import Keyed, mailing_list, status_events

NAME = "mailing"
LATENCY_MS = 50.0
SHIPMENTS = 100
# Slower than this is broken.
LEAST_PER_S = 500
TELL_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Mailing:
    notifications: int
    seconds: float
    samples: Sequence[Sample]
    losses: Losses


async def run_mailing(side: Side, events: Sequence[Keyed], out: Console) -> Mailing:
    total = len(events) * side.per_event
    connection = await asyncpg.connect(side.endpoints.postgres, timeout=ASK_TIMEOUT_S)
    samples: list[Sample] = []
    try:
        watch = RowWatch(connection)
        await watch.start([side.outcomes, *side.others])
        start = time.perf_counter()
        tasks = [
            asyncio.create_task(sample_until_cancelled(samples, side.workers, watch, side.outcomes)),
            asyncio.create_task(_tell(samples, total, out)),
        ]
        try:
            await asyncio.to_thread(publish, side.endpoints.kafka, side.status_topic, events)
            expected = {side.outcomes: total, **dict.fromkeys(side.others, len(events))}
            await watch.wait_for(expected, 120.0 + total / LEAST_PER_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        losses = await count_losses(side, connection, total)
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)
    return Mailing(notifications=total, seconds=watch.last_at[side.outcomes] - start, samples=samples, losses=losses)


async def _tell(samples: Sequence[Sample], total: int, out: Console) -> None:
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        last = samples[-1]
        memory = "  ".join(f"{name} {size / 1e6:.0f}" for name, size in last.bytes.items())
        out.print(f"{last.at_s:4.0f} s  {last.rows:>9,} of {total:,}  MB: {memory}", soft_wrap=True)


def summary(mailing: Mailing) -> dict[str, Any]:
    grown = growth(mailing.samples, mailing.notifications)
    workers = mailing.samples[-1].bytes
    return {
        "notifications": mailing.notifications,
        "seconds": round(mailing.seconds, 1),
        "per_s": round(mailing.notifications / mailing.seconds),
        "memory_growth": {name: round(part, 3) for name, part in grown.items()},
        "peak_mb": {name: round(max(one.bytes[name] for one in mailing.samples) / 1e6) for name in workers},
        "lost": mailing.losses.lost,
        "duplicates": mailing.losses.duplicates,
    }


@click.command()
@click.option("--notifications", default=1_000_000, show_default=True, help="A multiple of a thousand.")
@click.option("--people", type=click.IntRange(1, MAX_RECIPIENTS), default=MAX_RECIPIENTS, show_default=True)
@record_option
def mailing(notifications: int, people: int, record: bool) -> None:
    """Tell a great many people of few events, and watch the memory of the workers."""
    out, home = begin(record), HOME.absolute()
    events = list(status_events(NAME, -(-notifications // people), shipments=SHIPMENTS))
    out.print(f"{len(events):,} events, each told to {people:,} people")
    with (
        bench_servers(home / "stack") as servers,
        servers.clean_slate() as endpoints,
        herald(
            endpoints,
            home / NAME,
            latency_ms={Kind.SMS: LATENCY_MS},
            subscription=lambda number: mailing_list(number, people),
            shipments=SHIPMENTS,
        ) as side,
    ):
        found = asyncio.run(run_mailing(side, events, out))
    figures = summary(found)
    flat = bool(figures["memory_growth"]) and all(
        part < goals.MEMORY_GROWTH for part in figures["memory_growth"].values()
    )
    out.print(f"{figures['notifications']:,} notifications in {figures['seconds']:,} s, {figures['per_s']:,} a second")
    for name, part in figures["memory_growth"].items():
        out.print(f"  {name:<11} peak {figures['peak_mb'][name]:>4} MB, last quarter {part:+.1%} on the second")
    if not flat:
        out.print(f"✗ memory grew by more than {goals.MEMORY_GROWTH:.0%}, or was not seen to be flat", style="red")
    fails = bool(found.losses.lost or found.losses.duplicates or not flat)
    draw = partial(plot, samples=found.samples)
    finish(out, NAME, figures, details={"samples": found.samples}, plot=draw, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    mailing()
