"""Cargo Herald beside the same job written by hand: ``python -m tests.bench.compare``, or ``make bench``.

Like for like: three people with a phone are told of each event, so that both sides tell as many notifications through
the same batch API. ``--side channels`` measures one person on three channels instead, so that two thirds of the
notifications go out by SMTP and FCM, a call each, which the hand-written job has no like of.

Rounds are interleaved and their medians taken. The last line of the output is JSON; the figures of every run go to
``.herald/bench/compare.json``. Exit code 1: something was lost or told twice, or Cargo Herald has become slower.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import click

from simulators.launch import Kind
from stack import Endpoints
from tests.bench import compare_plots, recorded
from tests.bench.hand import hand_written
from tests.bench.herald import herald
from tests.bench.measure import Side, measure
from tests.bench.output import HOME, begin, finish, record_option
from tests.bench.report import figures_table, line, print_goal, print_regressions, workers_table
from tests.bench.run import Run
from tests.bench.servers import Servers, bench_servers
from tests.bench.summary import BASELINE, HERALD, summary
from tests.bench.work import status_events, three_channels, three_phones

NAME = "compare"
CHANNELS = "channels"
LATENCY_MS = 50.0
# A relay nearby. At 50 ms its eight connections would allow 160 messages a second, and nothing else were measured.
SMTP_LATENCY_MS = 5.0
# After one run of each side Kafka still takes more CPU for Cargo Herald than it does later.
WARM_UPS = 2
QUICK_ROUNDS, QUICK_EVENTS = 2, 20_000

Start = Callable[[Endpoints], AbstractContextManager[Side]]


def sides(folder: Path) -> dict[str, Start]:
    sms = {Kind.SMS: LATENCY_MS}
    every = {Kind.SMS: LATENCY_MS, Kind.FCM: LATENCY_MS, Kind.SMTP: SMTP_LATENCY_MS}
    return {
        BASELINE: lambda endpoints: hand_written(endpoints, folder / BASELINE, latency_ms=LATENCY_MS),
        HERALD: lambda endpoints: herald(endpoints, folder / HERALD, latency_ms=sms, subscription=three_phones),
        CHANNELS: lambda endpoints: herald(endpoints, folder / CHANNELS, latency_ms=every, subscription=three_channels),
    }


def run_once(start: Start, servers: Servers, *, seed: str, events: int) -> Run:
    """One run on clean servers, all of it: started, measured, stopped."""
    with servers.clean_slate() as endpoints, start(endpoints) as side:
        return asyncio.run(measure(side, servers, list(status_events(seed, events))))


def run_rounds(
    starts: dict[str, Start], servers: Servers, *, rounds: int, events: int, on_run: Callable[[str, int, Run], None]
) -> dict[str, list[Run]]:
    """Each side once in each round; before the first, each side `WARM_UPS` times for nothing."""
    runs: dict[str, list[Run]] = {name: [] for name in starts}
    for number in range(WARM_UPS):
        for name, start in starts.items():
            # The broker's Java gets fast as it runs; whoever came first would pay for it.
            run_once(start, servers, seed=f"{name}-warm-up-{number}", events=events)
    for number in range(rounds):
        # The order changes, so that no side always comes after the same other.
        for name in list(starts)[:: -1 if number % 2 else 1]:
            run = run_once(starts[name], servers, seed=f"round-{number}", events=events)
            runs[name].append(run)
            on_run(name, number + 1, run)
    return runs


@click.command()
@click.option("--events", default=40_000, show_default=True, help="Status events in a run; three notifications each.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--side",
    "only",
    multiple=True,
    type=click.Choice([BASELINE, HERALD, CHANNELS]),
    default=(BASELINE, HERALD),
    show_default=True,
    help="Only these; repeatable.",
)
@click.option("--quick", is_flag=True, help="Two short rounds, not compared with what was recorded.")
@record_option
def compare(events: int, rounds: int, only: Sequence[str], quick: bool, record: bool) -> None:
    """Measure both sides in turn on real servers, check that nothing was lost or told twice, print medians."""
    out, home, load = begin(record), HOME.absolute(), os.getloadavg()[0]
    if quick:
        rounds, events = QUICK_ROUNDS, QUICK_EVENTS
    starts = {name: start for name, start in sides(home).items() if name in only}
    out.print(f"{rounds} rounds of {events:,} events, after {WARM_UPS} that do not count")
    with bench_servers(home / "stack") as servers:
        runs = run_rounds(
            starts,
            servers,
            rounds=rounds,
            events=events,
            on_run=lambda name, number, run: out.print(line(name, number, run), soft_wrap=True),
        )
    figures = summary(runs, rounds=rounds, load=load)
    out.print(figures_table(runs))
    out.print(workers_table(runs))
    fails, whole = bool(figures["lost"] or figures["duplicates"]), "ratio" in figures
    if whole and not quick:
        print_goal(out, figures)
        fails |= print_regressions(out, recorded.read(NAME), figures, record=record)
    plot = partial(compare_plots.plot, runs=runs) if whole else None
    # Others build on what a whole run has found.
    name = NAME if whole and not quick else f"{NAME}-part"
    finish(out, name, figures, details={"runs": runs}, plot=plot, record=record and not fails)
    sys.exit(1 if fails else 0)


if __name__ == "__main__":
    compare()
