"""How long does a notification take, the more there is to do? ``python -m tests.bench.load``.

Events come evenly at shares of the full rate, which `tests.bench.compare` has measured, through one pipeline. Like for
like: three people by SMS, the provider takes 50 ms. The last line of the output is JSON.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from simulators.launch import Kind
from tests.bench.herald import herald
from tests.bench.hop_report import in_ms
from tests.bench.load_plot import plot
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.pace import evenly
from tests.bench.servers import Servers, bench_servers
from tests.bench.traced import Traced, trace
from tests.bench.traces import hops
from tests.bench.work import PEOPLE, status_events, three_phones

NAME = "load"
LATENCY_MS = 50.0
SHARES = (10, 30, 50, 70, 90)
WARM_UP = 2_000


def run_load(servers: Servers, *, full_per_s: float, seconds: float, shares: Sequence[int]) -> dict[int, Traced]:
    """By the share in percent. ``full_per_s`` counts notifications."""
    found = {}
    with (
        servers.clean_slate() as endpoints,
        herald(endpoints, HOME.absolute() / NAME, latency_ms={Kind.SMS: LATENCY_MS}, subscription=three_phones) as side,
    ):
        asyncio.run(trace(side, list(evenly(list(status_events("warm-up", WARM_UP)), WARM_UP / 4))))
        before = WARM_UP
        for share in shares:
            events_per_s = full_per_s * share / 100 / PEOPLE
            events = list(status_events(f"load-{share}", round(events_per_s * seconds)))
            found[share] = asyncio.run(trace(side, list(evenly(events, events_per_s)), events_before=before))
            before += len(events)
    return found


def summary(found: Mapping[int, Traced], *, full_per_s: float) -> dict[str, Any]:
    # Each trace accounts for everything since the start of the pipeline.
    last = list(found.values())[-1]
    return {
        "full_per_s": round(full_per_s),
        "shares": {
            share: in_ms(hops(one.traces)) | {"late_ms": round(1_000 * one.late_s, 1)} for share, one in found.items()
        },
        "lost": last.losses.lost,
        "duplicates": last.losses.duplicates,
    }


def measured_rate(home: Path = HOME) -> float:
    """What the last comparison on this machine found. Raises click.UsageError where there was none."""
    try:
        rate: float = msgspec.json.decode((home / "compare.json").read_bytes())["summary"]["herald_per_s"]
    except (FileNotFoundError, KeyError) as error:
        raise click.UsageError("no full rate is known: run tests.bench.compare first, or name it by --full") from error
    return rate


@click.command()
@click.option("--full", type=float, help="Notifications a second at full load; default: what `make bench` found.")
@click.option("--seconds", default=15.0, show_default=True, help="How long each share lasts.")
@click.option("--share", "shares", type=int, multiple=True, default=SHARES, show_default=True, help="In percent.")
@record_option
def load(full: float | None, seconds: float, shares: tuple[int, ...], record: bool) -> None:
    """Measure latency at shares of the full rate."""
    full_per_s = full or measured_rate()
    out = begin(record)
    with bench_servers(HOME.absolute() / "stack", commit_times=True) as servers:
        found = run_load(servers, full_per_s=full_per_s, seconds=seconds, shares=shares)
    figures = summary(found, full_per_s=full_per_s)
    for share, ways in figures["shares"].items():
        way = ways["until its row"]
        out.print(
            f"{share:>3} % ({full_per_s * share / 100:,.0f}/s)  event to row: "
            f"p50 {way['p50']:,.0f} ms  p95 {way['p95']:,.0f} ms  p99 {way['p99']:,.0f} ms"
        )
    fails = bool(figures["lost"] or figures["duplicates"])
    draw = partial(plot, shares=figures["shares"], provider_ms=LATENCY_MS)
    finish(out, NAME, figures, details={}, plot=draw, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    load()
