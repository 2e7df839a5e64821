"""How is a run told? A line as each scenario ends, a table at the end, and one line of JSON for machines."""

from collections.abc import Sequence
from io import StringIO

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.chaos.runner import Played

WIDTH = 150


def percentile(values: Sequence[float], share: float) -> float | None:
    """None where there is no value; by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def line(played: Played) -> Text:
    """One scenario, as it ends."""
    state = Text("broken ", "bold red") if played.broken else Text("kept   ", "green")
    told = f"{played.name:<28} {played.seconds:5.0f} s  {played.faults} faults"
    text = Text.assemble(state, told)
    for problem in played.broken:
        text.append(f"\n         {problem}", "red")
    if played.not_injected:
        text.append(f"\n         not injected: {played.not_injected}", "yellow")
    if played.notes:
        text.append("\n         " + "  ".join(f"{name} {value:g}" for name, value in played.notes.items()), "dim")
    return text


def table(results: Sequence[Played]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="what was done, and what came of it", title_justify="left")
    table.add_column("fault")
    for name in ("times", "kills", "events", "messages", "lost", "twice", "bound", "early", "first send p50", "p95"):
        table.add_column(name, justify="right")
    for played in results:
        verdict = played.verdict
        figures = (
            ("-",) * 6
            if verdict is None
            else (
                str(verdict.events),
                str(verdict.notifications),
                str(verdict.unaccounted),
                str(verdict.duplicates),
                str(played.bound),
                str(verdict.early),
            )
        )
        times = (_seconds(percentile(played.first_sends_s, share)) for share in (0.5, 0.95))
        style = "red" if played.broken else None
        table.add_row(played.name, str(played.faults), str(played.kills), *figures, *times, style=style)
    return table


def summary(results: Sequence[Played], *, seed: int) -> dict[str, object]:
    """The figures of the whole run; ``recovery_s_p95`` is the first send after a worker's SIGKILL."""
    verdicts = [played.verdict for played in results if played.verdict is not None]
    kills = [seconds for played in results for seconds in played.kill_first_sends_s]
    every = [seconds for played in results for seconds in played.first_sends_s]
    return {
        "seed": seed,
        "scenarios": len(results),
        "broken": [played.name for played in results if played.broken],
        "not_injected": [played.name for played in results if played.not_injected],
        "faults": sum(played.faults for played in results),
        "kills": sum(played.kills for played in results),
        "events": sum(verdict.events for verdict in verdicts),
        "notifications": sum(verdict.notifications for verdict in verdicts),
        "lost": sum(verdict.lost for verdict in verdicts),
        "unaccounted": sum(verdict.unaccounted for verdict in verdicts),
        "duplicates": sum(verdict.duplicates for verdict in verdicts),
        "duplicates_bound": sum(played.bound for played in results),
        "early": sum(verdict.early for verdict in verdicts),
        "recovery_s_p50": _rounded(percentile(kills, 0.5)),
        "recovery_s_p95": _rounded(percentile(kills, 0.95)),
        "recovery_of_all_s_p95": _rounded(percentile(every, 0.95)),
        "seconds": round(sum(played.seconds for played in results)),
    }


def print_all(console: Console, results: Sequence[Played], *, seed: int) -> None:
    console.print(table(results))
    console.print(msgspec.json.encode(summary(results, seed=seed)).decode(), soft_wrap=True, highlight=False)


def render(results: Sequence[Played], *, seed: int) -> str:
    """As `print_all` prints it, for whoever has a terminal of its own."""
    console = Console(width=WIDTH, record=True, file=StringIO())
    print_all(console, results, seed=seed)
    return console.export_text(styles=False)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
