"""How is a comparison told? A line for each run, tables at the end, and one line of JSON for machines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench import goals, recorded
from tests.bench.figures import Spread, spread
from tests.bench.recorded import Figures
from tests.bench.run import Run
from tests.bench.summary import BASELINE, HERALD, Runs, cpu_us, per_s, servers_us, workers_us

WIDTH = 120
TITLES = {BASELINE: "hand-written job", HERALD: "Cargo Herald", "channels": "Cargo Herald, three channels"}
COMPARED = ("baseline_per_s", "herald_per_s", "ratio", "baseline_cpu_us", "herald_cpu_us", "cpu_ratio")


def console() -> Console:
    """On stderr: stdout is for the line of JSON."""
    out = Console(stderr=True)
    return out if out.is_terminal else Console(stderr=True, width=WIDTH)


def line(name: str, number: int, run: Run) -> Text:
    """One run, as it ends."""
    whole = not run.lost and not run.duplicates
    text = Text.assemble(
        ("✓ " if whole else "✗ ", "green" if whole else "bold red"),
        f"round {number}  {TITLES[name]:<28} {run.per_s:>8,.0f}/s  {run.seconds:>6.2f} s  CPU {run.cpu_us:>5.1f} µs",
    )
    if not whole:
        text.append(f"  lost {run.lost}, told twice {run.duplicates}", "red")
    by_worker = "  ".join(f"{worker} {run.cpu_s[worker] / run.notifications * 1e6:.0f}" for worker in run.busy)
    return text.append(f"  {by_worker}", "dim")


Figure = Callable[[Sequence[Run]], Spread | None]


def figures_table(runs: Runs) -> Table:
    table = Table(box=SIMPLE_HEAD, title="median of the rounds (least to most)", title_justify="left")
    table.add_column("for each notification, or a second")
    for name in runs:
        table.add_column(TITLES[name], justify="right")
    both = {BASELINE, HERALD} <= runs.keys()
    if both:
        table.add_column("ratio", justify="right")
    for title, figure in FIGURES.items():
        found = {name: figure(some) for name, some in runs.items()}
        ratio = _ratio(found[BASELINE], found[HERALD]) if both else None
        table.add_row(title, *(str(one) if one else "–" for one in found.values()), *([ratio] if both else []))
    return table


def _ratio(baseline: Spread | None, herald: Spread | None) -> str:
    return f"{herald.median / baseline.median:.2f}" if baseline and herald and baseline.median else ""


def _server(name: str) -> Figure:
    return lambda runs: servers_us(runs).get(name)


FIGURES: Mapping[str, Figure] = {
    "notifications a second": per_s,
    "CPU of the workers, µs": cpu_us,
    "CPU of the servers and the provider, µs": lambda runs: spread(run.server_cpu_us for run in runs),
    "  Kafka": _server("kafka"),
    "  PostgreSQL": _server("postgres"),
    "  Valkey": _server("redis"),
    "  SMS provider": _server("sms"),
    "CPU altogether, µs": lambda runs: spread(run.all_cpu_us for run in runs),
    "bytes in Kafka": lambda runs: spread(run.kafka_bytes for run in runs),
    "busy processes": lambda runs: spread(len(run.busy) for run in runs),
    "their peak memory, MB": lambda runs: spread(run.peak_mb for run in runs),
    "lost": lambda runs: spread(run.lost for run in runs),
    "told twice": lambda runs: spread(run.duplicates for run in runs),
}


def workers_table(runs: Runs) -> Table:
    table = Table(box=SIMPLE_HEAD, title="by worker", title_justify="left")
    table.add_column("side")
    table.add_column("worker")
    table.add_column("CPU, µs for each notification", justify="right")
    table.add_column("peak memory, MB", justify="right")
    for name, some in runs.items():
        peaks = {worker: spread(run.peak_bytes[worker] / 1e6 for run in some) for worker in some[0].peak_bytes}
        for worker, cost in workers_us(some).items():
            table.add_row(TITLES[name], worker, str(cost), str(peaks[worker]))
        table.add_section()
    return table


def recorded_table(old: Mapping[str, Any], new: Mapping[str, Any]) -> Table:
    title = f"beside what was recorded on {old['recorded_on']} ({old['cores']} cores, Python {old['python']})"
    table = Table("figure", box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("recorded", "now", "change"):
        table.add_column(column, justify="right")
    for key in COMPARED:
        table.add_row(key, f"{old[key]:,}", f"{new[key]:,}", f"{(new[key] / old[key] - 1) * 100:+.0f} %")
    return table


def print_goal(out: Console, new: dict[str, Any]) -> None:
    """How far it is from what it shall be; a goal that is missed fails no run."""
    reached = new["ratio"] >= goals.RATIO and new["cpu_ratio"] <= goals.CPU_RATIO
    out.print(
        f"{'✓' if reached else '✗'} {new['ratio']:.2f} times the throughput for {new['cpu_ratio']:.2f} of the CPU "
        f"(goal: {goals.RATIO:.1f} for {goals.CPU_RATIO:.1f})",
        style="green" if reached else "yellow",
    )


def print_regressions(out: Console, old: Figures | None, new: Figures, *, record: bool) -> bool:
    """Whether anything is slower than in ``old``, by more than the tolerance, or than it may be at all.

    Where the new figures are to take the place of the old ones, all of it is said, and only the latter counts.
    """
    if old is not None:
        out.print(recorded_table(old, new))
    for sentence in recorded.regressions(old, new):
        out.print(f"✗ {sentence}", style="bold red")
    return bool(recorded.regressions(None if record else old, new))
