"""What if there is more of everything? ``python -m tests.bench.growth``, or ``make bench-growth``.

Each point of `tests.bench.growth_points` gets a pipeline of its own: its rows are put into the changelogs, its first
workers are killed and lose their folders, so that they recover all of it; then it is measured as a comparison measures
it, and they are killed once more, with their folders kept. The last line of the output is JSON.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.local import local_pipeline
from settings import Role
from simulators.faults import Faults
from simulators.launch import Kind
from tests.bench import preload, recorded
from tests.bench.growth_plot import Points, plot
from tests.bench.growth_points import POINTS, RECOVERED_PER_S, Point
from tests.bench.herald import side_of
from tests.bench.kafka import delete_groups
from tests.bench.measure import measure
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.recovery import Recovery, kill_and_wait
from tests.bench.run import Run
from tests.bench.servers import Servers, bench_servers
from tests.bench.summary import side as side_figures
from tests.bench.work import PEOPLE, status_events

NAME = "growth"
LATENCY_MS = 50.0
EVENTS = 20_000
ROUNDS = 3
WARM_UPS = 3
COLUMNS = {"per_s": "a second", "peak_mb": "peak MB", "kept_s": "back, folder kept", "lost_s": "back, folder lost"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Recoveries are of the slower of enrich and send-sms."""

    point: Point
    run: Run
    kept: Recovery
    lost: Recovery


def measure_point(servers: Servers, folder: Path, point: Point, *, events: int) -> Measured:
    overrides = {"HERALD_PARTITIONS": str(point.partitions)}
    with (
        servers.clean_slate() as endpoints,
        local_pipeline(endpoints, folder, overrides=overrides, workers_per_role=point.workers) as pipeline,
    ):
        pipeline.simulators[Kind.SMS].set_faults(Faults(latency_ms=LATENCY_MS))
        for topic, rows in {
            preload.SUBSCRIPTIONS: preload.subscriptions(point.shipments, point.partitions),
            preload.SEEN: preload.seen(point.rows, point.partitions),
            preload.CLAIMS: preload.claims(point.rows, point.partitions),
        }.items():
            preload.preload(endpoints.kafka, topic, rows)
        # Every enrich worker has to learn the subscriptions; the first of them is the one that is looked at.
        enrich = [one.name for one in pipeline.supervisor.workers.values() if one.role is Role.ENRICH]
        lost = [kill_and_wait(pipeline, name, keep_folder=False) for name in (*enrich, Role.SEND_SMS)]
        side = side_of(pipeline, per_event=PEOPLE)
        given = list(status_events(point.name, events, shipments=point.shipments))
        run = asyncio.run(measure(side, servers, given))
        kept = [kill_and_wait(pipeline, name, keep_folder=True) for name in (Role.ENRICH, Role.SEND_SMS)]
    # The next point may have fewer workers: those that are too many would be missed in the middle of its start.
    delete_groups(servers.endpoints.kafka)
    return Measured(point=point, run=run, kept=slowest(kept), lost=slowest([lost[0], lost[-1]]))


def slowest(recoveries: Sequence[Recovery]) -> Recovery:
    return max(recoveries, key=lambda one: one.ready_s)


def figures_of(some: Sequence[Measured]) -> dict[str, Any]:
    """Medians of what one point was measured at."""
    runs = [one.run for one in some]
    whole = side_figures(runs)
    return {
        **{name: whole[name] for name in ("per_s", "per_s_range", "peak_mb", "cpu_us", "server_cpu_us", "kafka_bytes")},
        "kept_s": round(median(one.kept.ready_s for one in some), 1),
        "lost_s": round(median(one.lost.ready_s for one in some), 1),
        "lost_takeover_s": round(median(one.lost.takeover_s for one in some), 1),
        **{name: whole[name] for name in ("cpu_us_by_worker", "cpu_us_by_server", "peak_mb_by_worker")},
        "rounds": len(some),
    }


def expected_of(point: Point, first: Sequence[Measured]) -> dict[str, float]:
    """By the group's first point that was measured."""
    expected, before, base = point.expected, first[0].point.expected, figures_of(first)
    rows = expected.recovered_rows - before.recovered_rows
    return {
        "per_s": round(base["per_s"] * expected.per_s / before.per_s),
        "peak_mb": round(base["peak_mb"] * expected.peak_mb / before.peak_mb),
        "kept_s": base["kept_s"],
        "lost_s": round(base["lost_s"] + rows / RECOVERED_PER_S, 1),
    }


def summary(found: Mapping[str, Sequence[Measured]]) -> dict[str, Any]:
    firsts: dict[str, Sequence[Measured]] = {}
    points = {}
    for name, some in found.items():
        point = some[0].point
        first = firsts.setdefault(point.group, some)
        points[name] = figures_of(some) | {"expected": expected_of(point, first)}
    every = [one.run for some in found.values() for one in some]
    return {
        "points": points,
        "lost": sum(run.lost for run in every),
        "duplicates": sum(run.duplicates for run in every),
    }


def in_turns(points: Sequence[Point]) -> Iterator[Point]:
    """Those of a group in turns, as a machine has slow minutes."""
    for _, group in groupby(points, key=lambda point: point.group):
        yield from list(group) * ROUNDS


def among(points: Points, there: Points) -> Points:
    """In the order of all points: a part that was measured anew takes its place among what has been recorded."""
    all_of_them = {**there, **points}
    return {one.name: all_of_them[one.name] for one in POINTS if one.name in all_of_them}


def table(points: Points) -> Table:
    title = "growth: found (expected)"
    table = Table("point", box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in COLUMNS.values():
        table.add_column(column, justify="right")
    for name, one in points.items():
        table.add_row(name, *(f"{one[key]:,g} ({one['expected'][key]:,g})" for key in COLUMNS))
    return table


@click.command()
@click.option("--only", multiple=True, help="Groups or points by name, as workers or rows-1M; repeatable.")
@click.option("--scale", default=1.0, show_default=True, help="Multiplies shipments and rows.")
@click.option("--events", default=EVENTS, show_default=True, help="At each point; three notifications each.")
@record_option
def growth(only: tuple[str, ...], scale: float, events: int, record: bool) -> None:
    """Measure throughput, memory and recovery with more workers, partitions, shipments and rows."""
    out, home = begin(record, but="--only"), HOME.absolute()
    chosen = [one for one in POINTS if not only or one.name in only or one.group in only]
    if not chosen:
        raise click.UsageError(f"there are {', '.join(one.name for one in POINTS)}")
    found: dict[str, list[Measured]] = {point.name: [] for point in chosen}
    with bench_servers(home / "stack") as servers:
        for _ in range(WARM_UPS):
            # For nothing: the broker's Java gets fast as it runs, and the first points would pay for it.
            measure_point(servers, home / NAME, chosen[0].scaled(scale), events=events)
        for point in in_turns(chosen):
            one = measure_point(servers, home / NAME, point.scaled(scale), events=events)
            found[point.name].append(one)
            told = "  ".join(f"{key} {figures_of([one])[key]:,g}" for key in (*COLUMNS, "cpu_us", "server_cpu_us"))
            out.print(f"{point.name:<15} {told}", soft_wrap=True)
    figures = summary(found)
    out.print(table(figures["points"]))
    if record:
        of_now = recorded.machine()
        for one in figures["points"].values():
            one |= of_now
        figures["points"] = among(figures["points"], (recorded.read(NAME) or {}).get("points", {}))
    fails = bool(figures["lost"] or figures["duplicates"])
    draw = partial(plot, points=figures["points"])
    finish(out, NAME, figures, details={"measured": found}, plot=draw, record=record and not fails)
    sys.exit(fails)


if __name__ == "__main__":
    growth()
