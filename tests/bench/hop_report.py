"""How are latencies told? A table and a plot of the hops of a notification's way, and whether a goal was met."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.bench import canvas
from tests.bench.figures import Percentiles

# What each hop is, for people; see `tests.bench.traces.HOPS`.
MEANINGS = {
    "enrich": "event in Kafka → notification in its lane",
    "send": "lane → taken in by the provider",
    "answer": "provider's latency, claim, outcome in Kafka",
    "store": "outcome → row committed",
    "until told": "event → taken in by the provider",
    "until its outcome": "event → outcome on its way into Kafka",
    "until its row": "event → row committed",
}


def in_ms(found: Mapping[str, Percentiles]) -> dict[str, dict[str, float]]:
    return {
        name: {key: round(1_000 * getattr(one, key), 1) for key in ("p50", "p95", "p99", "worst")}
        for name, one in found.items()
    }


def hops_table(title: str, found: Mapping[str, Percentiles]) -> Table:
    table = Table("hop", "what it is", box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("p50", "p95", "p99", "worst"):
        table.add_column(column, justify="right")
    for name, one in in_ms(found).items():
        if name == "until told":
            table.add_section()
        table.add_row(name, MEANINGS[name], *(f"{value:,.0f}" for value in one.values()))
    return table


def print_goal(out: Console, what: str, found_ms: float, goal_ms: float) -> bool:
    """Whether it is reached."""
    reached = found_ms < goal_ms
    mark, style = ("✓", "green") if reached else ("✗", "red")
    out.print(Text(f"{mark} {what} {found_ms:,.0f} ms (goal: under {goal_ms:,.0f})", style))
    return reached


def plot_hops(path: Path, found: Mapping[str, Percentiles], *, goal_ms: float) -> None:
    def panel(axes: Any) -> None:
        names, figures = list(found)[::-1], in_ms(found)
        for place, one in enumerate(names):
            low, middle, high = (figures[one][key] for key in ("p50", "p95", "p99"))
            axes.barh(place, low, height=0.55, color=canvas.HERALD)
            axes.plot([low, high], [place, place], color=canvas.INK, linewidth=1)
            axes.plot([middle], [place], "|", color=canvas.INK, markersize=9)
            axes.plot([high], [place], ".", color=canvas.INK)
            axes.annotate(f"{low:.0f}", (high, place), (6, 0), textcoords="offset points", va="center")
        axes.axvline(goal_ms, color=canvas.EXPECTED, linestyle="--", linewidth=1)
        axes.annotate(f"goal for p50: {goal_ms:.0f}", (goal_ms, len(names) - 0.4), ha="center", va="bottom")
        axes.set_yticks(range(len(names)), [f"{one}\n{MEANINGS[one]}" for one in names], fontsize=8)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(left=0)
        axes.set_title("ms; bar p50, tick p95, dot p99\n", loc="left")

    canvas.draw(path, [panel], size=(9, 4.4))
