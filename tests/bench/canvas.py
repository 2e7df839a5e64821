"""On what are plots drawn? SVG without a background, whose ink follows the reader's light or dark theme.

matplotlib comes with the extra ``bench`` and is imported when a plot is drawn, so that measuring does without it.
"""

import importlib.util
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

# Of the light theme, and what the dark theme has instead.
INK, GRID = "#1f2933", "#d5dbe1"
DARK = {INK: "#e3e8ee", GRID: "#3c4650"}

# A colour for each side, everywhere; readable on white and on black.
HERALD, BASELINE, EXPECTED = "#2f86d6", "#d9822b", "#8a97a5"
STAGES = {"enrich": "#2f86d6", "send": "#1fa187", "sink": "#a26bd1", "others": "#8a97a5"}
SERVERS = {"kafka": "#c2574f", "postgres": "#5b7fbf", "redis": "#c9a227", "providers": "#8a97a5"}
SERIES = ("#2f86d6", "#1fa187", "#a26bd1", "#d9822b", "#c2574f", "#c9a227", "#8a97a5")

Draw = Callable[[Any], None]

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "herald",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw(path: Path, panels: Sequence[Draw], *, size: tuple[float, float], columns: int | None = None) -> None:
    """A picture of some panels side by side, each drawn on an axes of its own; ``size`` in inches."""
    path.write_text(render(panels, size=size, columns=columns), encoding="utf-8")


def render(panels: Sequence[Draw], *, size: tuple[float, float], columns: int | None = None) -> str:
    """The picture as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = columns or len(panels)
    with matplotlib.rc_context(STYLE):
        rows = -(-len(panels) // columns)
        figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        try:
            for panel, one in zip(panels, axes.flat, strict=False):
                panel(one)
            for left in list(axes.flat)[len(panels) :]:
                left.set_axis_off()
            drawn = StringIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None})
        finally:
            pyplot.close(figure)
    return themed(drawn.getvalue())


def logarithmic(axes: Any) -> None:
    """A y-axis of powers, with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda value, _: f"{value:,.0f}")


def themed(svg: str) -> str:
    """The picture has the light theme's colours; a reader's dark theme sets others in their place."""
    rules = " ".join(
        f'[style*="{what}: {colour}"] {{ {what}: {dark} !important }}'
        for colour, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    head, opening, rest = svg.partition("<defs>")
    return f"{head}<style>@media (prefers-color-scheme: dark) {{ {rules} }}</style>\n {opening}{rest}"
