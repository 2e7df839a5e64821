"""Does one mass mailing end, with flat memory? ``python -m tests.bench.mailing``.

A million notifications from a thousand events, each told to a thousand people by SMS. All events are there at once;
every role runs as shipped. While enrich is behind on them urgent events are published, each of which one person waits
for. The account must close: nothing lost, nobody told twice. The last line is JSON.
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
from tests.bench.figures import percentiles
from tests.bench.gauges import RowWatch
from tests.bench.herald import herald
from tests.bench.hop_report import in_ms, print_goal
from tests.bench.kafka import ASK_TIMEOUT_S, publish
from tests.bench.mailing_plot import plot
from tests.bench.measure import Losses, Side, count_losses
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.pace import Feed, evenly
from tests.bench.samples import Sample, growth, sample_until_cancelled
from tests.bench.servers import bench_servers
from tests.bench.work import URGENT, Keyed, mailing_list, status_events

NAME = "mailing"
LATENCY_MS = 50.0
SHIPMENTS = 100
URGENT_PER_S = 4.0
# So that all of them come while there is much of it left.
MAILED_FOR_EACH_URGENT = 10_000
# Slower than this is broken.
LEAST_PER_S = 500
TELL_EVERY_S = 10.0


# Seconds from the event, as Kafka took it, to the provider's answer and to the row.
URGENT_TIMES = """
    SELECT extract(epoch FROM finished_at - first_seen_at)::float8,
           extract(epoch FROM pg_xact_commit_timestamp(xmin) - first_seen_at)::float8
    FROM notification_outcome WHERE lane = 'urgent'
"""


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """``answered`` and ``stored``: after how many seconds, for each urgent event."""

    notifications: int
    seconds: float
    samples: Sequence[Sample]
    losses: Losses
    answered: Sequence[float]
    stored: Sequence[float]


async def run_mailing(side: Side, events: Sequence[Keyed], urgent: Sequence[Keyed], out: Console) -> Mailing:
    total = len(events) * side.per_event + len(urgent)
    feed = Feed(side.endpoints.kafka, side.status_topic, list(evenly(urgent, URGENT_PER_S)), linger_ms=0)
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
            feed.start()
            expected = {side.outcomes: total, **dict.fromkeys(side.others, len(events) + len(urgent))}
            await watch.wait_for(expected, 120.0 + total / LEAST_PER_S)
            feed.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        losses = await count_losses(side, connection, total)
        answered, stored = zip(*await connection.fetch(URGENT_TIMES, timeout=ASK_TIMEOUT_S), strict=True)
    finally:
        await connection.close(timeout=ASK_TIMEOUT_S)
    return Mailing(
        notifications=total,
        seconds=watch.last_at[side.outcomes] - start,
        samples=samples,
        losses=losses,
        answered=answered,
        stored=stored,
    )


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
        "urgent": len(mailing.stored),
        "urgent_ms": in_ms({"answered": percentiles(mailing.answered), "stored": percentiles(mailing.stored)}),
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
    urgent = list(
        status_events(
            "urgent",
            max(1, notifications // MAILED_FOR_EACH_URGENT),
            first=SHIPMENTS,
            shipments=SHIPMENTS,
            statuses=URGENT,
        )
    )
    out.print(f"{len(events):,} events, each told to {people:,} people; {len(urgent)} urgent ones meanwhile")
    with (
        bench_servers(home / "stack", commit_times=True) as servers,
        servers.clean_slate() as endpoints,
        herald(
            endpoints,
            home / NAME,
            latency_ms={Kind.SMS: LATENCY_MS},
            subscription=lambda number: mailing_list(number, people if number < SHIPMENTS else 1),
            shipments=2 * SHIPMENTS,
        ) as side,
    ):
        found = asyncio.run(run_mailing(side, events, urgent, out))
    figures = summary(found)
    flat = bool(figures["memory_growth"]) and all(
        part < goals.MEMORY_GROWTH for part in figures["memory_growth"].values()
    )
    out.print(f"{figures['notifications']:,} notifications in {figures['seconds']:,} s, {figures['per_s']:,} a second")
    for name, part in figures["memory_growth"].items():
        out.print(f"  {name:<11} peak {figures['peak_mb'][name]:>4} MB, last quarter {part:+.1%} on the second")
    if not flat:
        out.print(f"✗ memory grew by more than {goals.MEMORY_GROWTH:.0%}, or was not seen to be flat", style="red")
    reached = print_goal(
        out, "urgent's end-to-end p99 meanwhile", figures["urgent_ms"]["stored"]["p99"], goals.URGENT_MS
    )
    fails = bool(found.losses.lost or found.losses.duplicates or not flat or not reached)
    draw = partial(plot, samples=found.samples)
    finish(out, NAME, figures, details={"samples": found.samples}, plot=draw, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    mailing()
