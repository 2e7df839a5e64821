"""How does latency look over load? Percentiles at each share of the full rate, to the provider and to the row."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import canvas

# By share in percent, then hop, then percentile, in ms.
Shares = Mapping[int, Mapping[str, Any]]

LINES = {"p50": "-", "p95": "--", "p99": ":"}
PANELS = {"until told": "event to provider, ms", "until its row": "event to row, ms"}


def plot(path: Path, shares: Shares, *, provider_ms: float) -> None:
    panels = [partial(_panel, shares=shares, hop=hop, provider_ms=provider_ms) for hop in PANELS]
    canvas.draw(path, panels, size=(10, 4))


def _panel(axes: Any, *, shares: Shares, hop: str, provider_ms: float) -> None:
    for percentile, style in LINES.items():
        values = [ways[hop][percentile] for ways in shares.values()]
        axes.plot(list(shares), values, style, marker="o", markersize=3, color=canvas.HERALD, label=percentile)
    if hop == "until its row":
        axes.axhline(provider_ms, color=canvas.EXPECTED, linewidth=1, label="the provider's part")
    canvas.logarithmic(axes)
    axes.set_xlabel("load, % of the full rate")
    axes.set_title(PANELS[hop])
    axes.legend(fontsize=8)
