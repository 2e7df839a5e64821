"""How does a mass mailing look? Notifications a second and the memory of each worker, over time."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import canvas
from tests.bench.samples import Sample, per_second


def plot(path: Path, samples: Sequence[Sample]) -> None:
    canvas.draw(path, [partial(_rate, samples=samples), partial(_memory, samples=samples)], size=(11, 4))


def _rate(axes: Any, *, samples: Sequence[Sample]) -> None:
    rates = per_second(samples)
    axes.plot([at for at, _ in rates], [rate for _, rate in rates], color=canvas.HERALD, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_title("notifications a second, by rows committed")


def _memory(axes: Any, *, samples: Sequence[Sample]) -> None:
    for name, colour in zip(samples[0].bytes, canvas.SERIES, strict=False):
        axes.plot([one.at_s for one in samples], [one.bytes[name] / 1e6 for one in samples], color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_title("resident memory, MB")
    axes.legend(fontsize=8, ncols=2)
