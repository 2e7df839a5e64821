"""How do both lanes look over time? How long each second's events took, and what came in and was told."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.notifications import Lane
from tests.bench import canvas
from tests.bench.figures import percentile
from tests.bench.traces import Trace, hop

COLOURS = {Lane.URGENT: canvas.HERALD, Lane.BULK: canvas.BASELINE}
# Less than this in a second says nothing of its 99th percentile.
ENOUGH = 20


def plot(path: Path, traces: Sequence[Trace], *, goal_ms: float) -> None:
    start = min(trace.published for trace in traces)
    panels = [
        lambda axes: _latencies(axes, traces, start, goal_ms),
        lambda axes: _rates(axes, traces, start),
    ]
    canvas.draw(path, panels, size=(11, 4.2))


def _latencies(axes: Any, traces: Sequence[Trace], start: float, goal_ms: float) -> None:
    for lane, colour in COLOURS.items():
        by_second = seconds_of([one for one in traces if one.lane is lane], start)
        for percent, style in ((50, "-"), (99, ":")):
            values = [1_000 * percentile(some, percent) for some in by_second.values()]
            axes.plot(list(by_second), values, style, color=colour, label=f"{lane} p{percent}")
    axes.axhline(goal_ms, color=canvas.EXPECTED, linestyle="--", linewidth=1, label="goal for urgent's p99")
    canvas.logarithmic(axes)
    axes.set_xlabel("second in which the event was published")
    axes.set_title("event to row, ms")
    axes.legend(fontsize=8)


def _rates(axes: Any, traces: Sequence[Trace], start: float) -> None:
    for lane, colour in COLOURS.items():
        some = [one for one in traces if one.lane is lane]
        came = _per_second((one.published for one in some), start)
        went = _per_second((one.told for one in some), start)
        axes.plot(*came, color=colour, linewidth=1, linestyle="--", label=f"{lane}, published")
        axes.plot(*went, color=colour, label=f"{lane}, told")
    canvas.logarithmic(axes)
    axes.set_xlabel("seconds")
    axes.set_title("notifications a second")
    axes.legend(fontsize=8)


def seconds_of(traces: Sequence[Trace], start: float) -> dict[int, list[float]]:
    """Until its row, sorted, by the second of the event; seconds with hardly any are left out."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for trace, seconds in zip(traces, hop(traces, "until its row"), strict=True):
        found[int(trace.published - start)].append(seconds)
    return {second: sorted(some) for second, some in sorted(found.items()) if len(some) >= ENOUGH}


def _per_second(times: Iterable[float], start: float) -> tuple[list[int], list[int]]:
    found = Counter(int(at - start) for at in times)
    return sorted(found), [found[second] for second in sorted(found)]
