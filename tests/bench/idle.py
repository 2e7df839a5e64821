"""How long does one notification take when nothing else is to be done? ``python -m tests.bench.idle``.

Events come one at a time, now and then; each is told to one person by SMS, email and push. Every role runs as shipped,
the providers take 50 ms to answer. The last line of the output is JSON.
"""

import asyncio
import sys
from functools import partial
from typing import Any

import click

from pipeline.notifications import Channel
from simulators.launch import Kind
from tests.bench import goals
from tests.bench.herald import herald
from tests.bench.hop_report import hops_table, in_ms, plot_hops, print_goal
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.pace import now_and_then
from tests.bench.servers import Servers, bench_servers
from tests.bench.traced import Traced, trace
from tests.bench.traces import Trace, hops
from tests.bench.work import status_events, three_channels

NAME = "idle"
LATENCY_MS = 50.0
# The first of everything: connections, templates, code that has not run yet.
WARM_UP = 20


def run_idle(servers: Servers, *, events: int, every_s: float) -> Traced:
    latency_ms = dict.fromkeys(Kind, LATENCY_MS)
    with (
        servers.clean_slate() as endpoints,
        herald(endpoints, HOME.absolute() / NAME, latency_ms=latency_ms, subscription=three_channels) as side,
    ):
        for_nothing = list(now_and_then(list(status_events("warm-up", WARM_UP)), every_s / 4, "warm-up"))
        asyncio.run(trace(side, for_nothing, linger_ms=0))
        due = list(now_and_then(list(status_events(NAME, events)), every_s, NAME))
        return asyncio.run(trace(side, due, linger_ms=0, events_before=WARM_UP))


def summary(traced: Traced) -> dict[str, Any]:
    """The first figures are of all channels."""
    way = in_ms(hops(traced.traces))["until its row"]
    return {
        "p50_ms": way["p50"],
        "p99_ms": way["p99"],
        "provider_ms": LATENCY_MS,
        "lost": traced.losses.lost,
        "duplicates": traced.losses.duplicates,
        "hops_ms": {channel: in_ms(hops(of_channel(traced, channel))) for channel in Channel},
        "late_ms": round(1_000 * traced.late_s, 1),
    }


def of_channel(traced: Traced, channel: Channel) -> list[Trace]:
    return [one for one in traced.traces if one.channel is channel]


@click.command()
@click.option("--events", default=200, show_default=True, help="Status events; three notifications each.")
@click.option("--every-s", default=0.4, show_default=True, help="From one event to the next, on average.")
@record_option
def idle(events: int, every_s: float, record: bool) -> None:
    """Measure the way of single notifications, hop by hop."""
    out = begin(record)
    with bench_servers(HOME.absolute() / "stack", commit_times=True) as servers:
        out.print(f"{events} events, one every {every_s:g} s or so")
        traced = run_idle(servers, events=events, every_s=every_s)
    figures = summary(traced)
    sms = hops(of_channel(traced, Channel.SMS))
    out.print(hops_table("one SMS at a time, ms", sms))
    for channel, found in figures["hops_ms"].items():
        way = found["until its row"]
        out.print(f"  {channel:<6} until its row: p50 {way['p50']:.0f} ms, p99 {way['p99']:.0f} ms")
    reached = print_goal(out, "end-to-end p50", figures["p50_ms"], goals.IDLE_MS)
    fails = bool(traced.losses.lost or traced.losses.duplicates or not reached)
    plot = partial(plot_hops, found=sms, goal_ms=goals.IDLE_MS)
    finish(out, NAME, figures, details={"traces": traced.traces}, plot=plot, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    idle()
