"""Does urgent overtake bulk when the provider is at its limit? ``python -m tests.bench.lanes``.

The provider answers after three quarters of a second, and a role makes a fixed number of calls at once: that is its
limit, and it lies well below what two cores can do. Bulk comes faster than that by half, twenty bulk notifications for
each urgent one, so that a backlog grows in front of the provider; urgent's way from the event to its row is what
counts. The last line of the output is JSON.
"""

import asyncio
import heapq
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from pipeline.notifications import Lane
from settings import Settings
from simulators.launch import Kind
from tests.bench import goals
from tests.bench.herald import herald
from tests.bench.hop_report import hops_table, in_ms, print_goal
from tests.bench.lanes_plot import plot
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.pace import Due, evenly
from tests.bench.servers import Servers, bench_servers
from tests.bench.traced import Traced, trace
from tests.bench.traces import hops
from tests.bench.work import PEOPLE, URGENT, status_events, three_phones

NAME = "lanes"
BULK_FOR_EACH_URGENT = 20
WARM_UP = 200


@dataclass(frozen=True, kw_only=True)
class Flood:
    """``over``: bulk that comes, as a multiple of what the provider takes."""

    seconds: float = 40.0
    latency_ms: float = 750.0
    over: float = 1.5

    def limit_per_s(self, settings: Settings) -> float:
        """Bulk that the provider takes: the calls that are not kept free for urgent, all of them full."""
        calls = settings.calls_in_flight - settings.calls_for_urgent
        return calls * settings.batch_messages / (self.latency_ms / 1_000)

    def due(self, settings: Settings) -> list[Due]:
        bulk_per_s = self.over * self.limit_per_s(settings) / PEOPLE
        urgent_per_s = bulk_per_s / BULK_FOR_EACH_URGENT
        bulk = list(status_events("bulk", round(self.seconds * bulk_per_s)))
        urgent = list(status_events("urgent", round(self.seconds * urgent_per_s), statuses=URGENT))
        return list(heapq.merge(evenly(bulk, bulk_per_s), evenly(urgent, urgent_per_s), key=lambda due: due[0]))


def run_lanes(servers: Servers, flood: Flood) -> Traced:
    latency_ms = {Kind.SMS: flood.latency_ms}
    with (
        servers.clean_slate() as endpoints,
        herald(endpoints, HOME.absolute() / NAME, latency_ms=latency_ms, subscription=three_phones) as side,
    ):
        for_nothing = [*status_events("warm-up", WARM_UP), *status_events("warm-up-2", WARM_UP, statuses=URGENT)]
        asyncio.run(trace(side, list(evenly(for_nothing, WARM_UP))))
        return asyncio.run(trace(side, flood.due(Settings()), events_before=len(for_nothing)))


def summary(traced: Traced, flood: Flood) -> dict[str, Any]:
    by_lane = {lane: [one for one in traced.traces if one.lane is lane] for lane in Lane}
    ways = {lane: in_ms(hops(some)) for lane, some in by_lane.items()}
    told = sorted(one.told for one in traced.traces)
    return {
        **{f"{lane}_{key}_ms": ways[lane]["until its row"][key] for lane in Lane for key in ("p50", "p99")},
        "provider_ms": flood.latency_ms,
        "provider_limit_per_s": round(flood.limit_per_s(Settings())),
        "offered_per_s": {lane: round(len(some) / flood.seconds) for lane, some in by_lane.items()},
        "told_per_s": round(len(told) / (told[-1] - told[0])),
        "lost": traced.losses.lost,
        "duplicates": traced.losses.duplicates,
        "hops_ms": ways,
        "late_ms": round(1_000 * traced.late_s, 1),
    }


@click.command()
@click.option("--seconds", default=Flood.seconds, show_default=True, help="How long the flood lasts.")
@click.option("--latency-ms", default=Flood.latency_ms, show_default=True, help="The provider's; sets its limit.")
@click.option("--over", default=Flood.over, show_default=True, help="Bulk, as a multiple of the provider's limit.")
@record_option
def lanes(seconds: float, latency_ms: float, over: float, record: bool) -> None:
    """Measure urgent beside a flood of bulk."""
    out, flood = begin(record), Flood(seconds=seconds, latency_ms=latency_ms, over=over)
    with bench_servers(HOME.absolute() / "stack", commit_times=True) as servers:
        out.print(
            f"{seconds:g} s of bulk at {over:g} times the provider's limit of {flood.limit_per_s(Settings()):,.0f}/s, "
            f"{BULK_FOR_EACH_URGENT} for each urgent notification"
        )
        traced = run_lanes(servers, flood)
    figures = summary(traced, flood)
    for lane in (Lane.URGENT, Lane.BULK):
        out.print(hops_table(f"{lane}, ms", hops([one for one in traced.traces if one.lane is lane])))
    reached = print_goal(out, "urgent's end-to-end p99", figures["urgent_p99_ms"], goals.URGENT_MS)
    fails = bool(traced.losses.lost or traced.losses.duplicates or not reached)
    draw = partial(plot, traces=traced.traces, goal_ms=goals.URGENT_MS)
    finish(out, NAME, figures, details={}, plot=draw, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    lanes()
