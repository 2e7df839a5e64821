"""Cargo Herald beside the same job written by hand: ``python -m tests.bench.compare``, or ``make bench``.

Two comparisons, because the hand-written job knows one provider, a batch API over HTTP:

- like for like: three people with a phone are told of each event, so that both sides tell as many notifications
  through the same batch API;
- as shipped: one person on three channels, so that two thirds of the notifications go out by SMTP and FCM, a call each.

Rounds are interleaved and their medians taken. The last line of the output is JSON.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import click
import msgspec

from cli.stack import given_servers
from settings import Role, Settings
from simulators.launch import Kind
from stack import Endpoints, Stack
from tests.bench.runs import Run, make_template, run_baseline, run_herald
from tests.bench.work import three_channels, three_phones

HOME = Path(".herald/bench")
LATENCY_MS = 50.0
# A relay nearby. At 50 ms its eight connections would allow 160 messages a second, and nothing else were measured.
SMTP_LATENCY_MS = 5.0

Measure = Callable[[Endpoints, str], Run]


def sides(folder: Path, events: int) -> dict[str, Measure]:
    def baseline(endpoints: Endpoints, seed: str) -> Run:
        return run_baseline(endpoints, folder / "baseline", events=events, seed=seed, latency_ms=LATENCY_MS)

    def herald(endpoints: Endpoints, seed: str) -> Run:
        return run_herald(
            endpoints,
            folder / "herald",
            events=events,
            seed=seed,
            latency_ms={Kind.SMS: LATENCY_MS},
            subscription=three_phones,
        )

    def shipped(endpoints: Endpoints, seed: str) -> Run:
        return run_herald(
            endpoints,
            folder / "shipped",
            events=events,
            seed=seed,
            latency_ms={Kind.SMS: LATENCY_MS, Kind.FCM: LATENCY_MS, Kind.SMTP: SMTP_LATENCY_MS},
            subscription=three_channels,
        )

    return {"baseline": baseline, "herald": herald, "shipped": shipped}


@click.command()
@click.option("--events", default=20_000, show_default=True, help="Status events in a run; three notifications each.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--side", "only", multiple=True, type=click.Choice(["baseline", "herald", "shipped"]), help="Only these.")
def compare(events: int, rounds: int, only: tuple[str, ...]) -> None:
    """Measure both sides in turn on real servers, check that nothing was lost or told twice, print medians."""
    load = os.getloadavg()[0]
    home = HOME.absolute()
    stack = Stack(home / "stack", given=given_servers(Settings()))
    measures = {name: measure for name, measure in sides(home, events).items() if not only or name in only}
    runs: dict[str, list[Run]] = {name: [] for name in measures}
    try:
        with stack.running() as endpoints:
            make_template(endpoints)
            # The broker's Java gets fast as it runs; whoever came first would pay for it.
            sides(home, events)["baseline"](endpoints, "warm-up")
            for number in range(rounds):
                # The order changes, so that no side always comes after the same other.
                for name in list(measures)[:: -1 if number % 2 else 1]:
                    run = measures[name](endpoints, f"{name}-{number}")
                    runs[name].append(run)
                    click.echo(line(name, run), err=True)
    finally:
        stack.down(wipe=True)
    click.echo(msgspec.json.encode(report(runs, rounds, load)).decode())
    if any(run.lost or run.duplicates for some in runs.values() for run in some):
        sys.exit(1)


def line(name: str, run: Run) -> str:
    roles = "  ".join(f"{role} {run.role_us(role):.0f}" for role in run.cpu_s if len(run.cpu_s) > 1)
    return (
        f"{name:<9} {run.per_s:>7,.0f}/s  {run.seconds:>6.2f} s  CPU {run.cpu_us:>4.0f} µs  "
        f"lost {run.lost}, told twice {run.duplicates}  {roles}"
    )


def report(runs: dict[str, list[Run]], rounds: int, load: float) -> dict[str, object]:
    """``load`` is the machine's before it began: above about 1, somebody else was measured too."""
    found: dict[str, object] = {}
    for name, some in runs.items():
        found[f"{name}_per_s"] = middle([run.per_s for run in some])
        found[f"{name}_cpu_us"] = middle([run.cpu_us for run in some])
    if runs.get("baseline") and runs.get("herald"):
        baseline, herald = runs["baseline"], runs["herald"]
        found["ratio"] = round(median(run.per_s for run in herald) / median(run.per_s for run in baseline), 2)
        found["cpu_ratio"] = round(median(run.cpu_us for run in herald) / median(run.cpu_us for run in baseline), 2)
    for name in (name for name in runs if name != "baseline"):
        found[f"{name}_cpu_us_by_role"] = {role: middle([run.role_us(role) for run in runs[name]]) for role in Role}
    every = [run for some in runs.values() for run in some]
    return found | {
        "rounds": rounds,
        "lost": sum(run.lost for run in every),
        "duplicates": sum(run.duplicates for run in every),
        "load_before": round(load, 2),
    }


def middle(values: Sequence[float]) -> int:
    return round(median(values))


if __name__ == "__main__":
    compare()
