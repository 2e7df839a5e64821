"""How does a comparison look? Throughput by round, CPU by stage and server, memory of the workers."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import canvas
from tests.bench.figures import spread
from tests.bench.run import Run
from tests.bench.summary import BASELINE, HERALD, Runs, per_s, servers_us, workers_us

TITLES = {BASELINE: "hand-written", HERALD: "Cargo Herald"}
COLOURS = {BASELINE: canvas.BASELINE, HERALD: canvas.HERALD}
LABELS = {"kafka": "Kafka", "postgres": "PostgreSQL", "redis": "Valkey"}
SERVERS = ("kafka", "postgres", "redis")


def plot(path: Path, runs: Runs) -> None:
    both = {name: runs[name] for name in (BASELINE, HERALD)}
    panels = [partial(panel, runs=both) for panel in (_throughput, _stages, _servers, _memory)]
    canvas.draw(path, panels, size=(11, 6.6), columns=2)


def _throughput(axes: Any, runs: Runs) -> None:
    for place, (name, some) in enumerate(runs.items()):
        middle = per_s(some).median
        axes.bar(place, middle, width=0.6, color=COLOURS[name], alpha=0.85)
        axes.text(place, middle / 2, f"{middle:,.0f}", ha="center", va="center", color="white")
        axes.plot(_beside(place, some), [run.per_s for run in some], "o", color=canvas.INK, markersize=3)
    axes.set_title("notifications a second (bar: median; dots: rounds)")
    _name_sides(axes, runs)


def _beside(place: int, some: Sequence[Run]) -> list[float]:
    """The rounds from left to right over the bar, in their order."""
    return [place + 0.4 * ((number + 0.5) / len(some) - 0.5) for number in range(len(some))]


def _stages(axes: Any, runs: Runs) -> None:
    costs = {name: {worker: one.median for worker, one in workers_us(some).items()} for name, some in runs.items()}
    _stack(axes, {name: stages(cost) for name, cost in costs.items()}, canvas.STAGES)
    axes.set_title("CPU of the workers, µs for each notification")


def _servers(axes: Any, runs: Runs) -> None:
    costs = {name: {server: one.median for server, one in servers_us(some).items()} for name, some in runs.items()}
    _stack(axes, {name: by_server(cost) for name, cost in costs.items()}, canvas.SERVERS)
    axes.set_title("CPU of the servers, µs for each notification")


def _memory(axes: Any, runs: Runs) -> None:
    parts = {
        name: stages({worker: spread(run.peak_bytes[worker] / 1e6 for run in some).median for worker in some[0].busy})
        for name, some in runs.items()
    }
    _stack(axes, parts, canvas.STAGES)
    axes.set_title("peak memory of the busy workers, MB")


def _stack(axes: Any, parts: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]) -> None:
    bottoms = dict.fromkeys(parts, 0.0)
    for part, colour in colours.items():
        heights = [some.get(part, 0.0) for some in parts.values()]
        if any(heights):
            label = LABELS.get(part, part)
            axes.bar(range(len(parts)), heights, bottom=list(bottoms.values()), width=0.6, color=colour, label=label)
        for place, (name, height) in enumerate(zip(parts, heights, strict=True)):
            if height > 0.05 * max(sum(some.values()) for some in parts.values()):
                axes.text(place, bottoms[name] + height / 2, f"{height:.0f}", ha="center", va="center", color="white")
            bottoms[name] += height
    for place, top in enumerate(bottoms.values()):
        axes.annotate(f"{top:.0f}", (place, top), (0, 4), textcoords="offset points", ha="center")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
    _name_sides(axes, parts)


def _name_sides(axes: Any, names: Mapping[str, object]) -> None:
    axes.set_xticks(range(len(names)), [TITLES[name] for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 1.1 * axes.dataLim.y1)


def stages(by_worker: Mapping[str, float]) -> dict[str, float]:
    """Workers of both sides by what they do: the loops of the one are roles of the other."""
    found = dict.fromkeys(canvas.STAGES, 0.0)
    for worker, value in by_worker.items():
        stage = worker.partition("-")[0]
        found[stage if stage in found else "others"] += value
    return found


def by_server(costs: Mapping[str, float]) -> dict[str, float]:
    """Kafka, Postgres and Valkey by themselves, the simulated providers as one."""
    found = {name: costs.get(name, 0.0) for name in SERVERS}
    return found | {"providers": sum(value for name, value in costs.items() if name not in SERVERS)}
