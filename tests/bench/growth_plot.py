"""How does growth look? A row of panels for each group: found, and what was expected beside it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import canvas

# By the point's name: what was found, and under ``expected`` what was expected.
Points = Mapping[str, Mapping[str, Any]]

TITLES = {
    "per_s": "notifications a second",
    "peak_mb": "peak memory of the busy workers, MB",
    "lost_s": "back after a kill, s",
}
GROUPS = {"workers": "workers a role × partitions", "shipments": "shipments with subscriptions", "rows": "rows kept"}


def plot(path: Path, points: Points) -> None:
    groups = [group for group in GROUPS if any(name.startswith(f"{group}-") for name in points)]
    panels = [partial(_panel, points=points, group=group, key=key) for group in groups for key in TITLES]
    canvas.draw(path, panels, size=(12, 3.2 * len(groups)), columns=len(TITLES))


def _panel(axes: Any, *, points: Points, group: str, key: str) -> None:
    some = {name.partition("-")[2]: one for name, one in points.items() if name.startswith(f"{group}-")}
    places = range(len(some))
    found = "found, folder lost" if key == "lost_s" else "found"
    axes.bar(places, [one[key] for one in some.values()], width=0.6, color=canvas.HERALD, label=found)
    _expect(axes, [one["expected"][key] for one in some.values()])
    if key == "lost_s":
        kept = [one["kept_s"] for one in some.values()]
        axes.plot(places, kept, "o", color=canvas.BASELINE, label="found, folder kept")
    axes.set_ylim(0, 1.5 * axes.dataLim.y1)
    axes.legend(fontsize=8, loc="upper left")
    axes.set_xticks(places, list(some), fontsize=8)
    axes.set_xlabel(GROUPS[group])
    axes.grid(visible=False, axis="x")
    axes.set_title(TITLES[key])


def _expect(axes: Any, values: list[float]) -> None:
    for place, value in enumerate(values):
        label = "expected" if place == 0 else None
        axes.plot([place - 0.4, place + 0.4], [value, value], color=canvas.INK, linewidth=1.5, label=label)
