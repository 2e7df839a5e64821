"""How does a benchmark begin, and where do its figures go?

Into a file for each benchmark, into a plot, and into the last line of stdout.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console

from tests.bench import canvas, page, recorded
from tests.bench.report import console

HOME = Path(".herald/bench")
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"

record_option = click.option(
    "--record", is_flag=True, help="Keep the figures in docs/performance.json and the plot in docs/img."
)


# Above it somebody else is measured, too. What came just before, such as an installation, is over in some minutes.
QUIET_LOAD = 1.0
QUIET_WITHIN_S = 180.0


def begin(record: bool, *, but: str = "") -> Console:
    """Where to tell of progress. What is recorded is of a commit, as shipped, on a machine that is quiet.

    Raises click.UsageError where it would not be; ``but`` as `refuse_other_options` has it.
    """
    refuse_other_options(record, but=but)
    if (recorded.commit() or "").endswith("+") and record:
        raise click.UsageError("--record keeps figures of a commit: there are changes that are none yet")
    out = console()
    give_up_at = time.monotonic() + (QUIET_WITHIN_S if record else 0)
    while (load := os.getloadavg()[0]) > QUIET_LOAD:
        if time.monotonic() < give_up_at:
            time.sleep(1)
        elif record:
            raise click.UsageError(f"--record keeps what is measured alone: the machine is busy (load {load:.1f})")
        else:
            out.print(f"! the machine was busy before (load {load:.1f}), and perhaps still is", style="yellow")
            break
    return out


def refuse_other_options(record: bool, *, but: str = "") -> None:
    """What is recorded is what others are compared with, so it is measured as shipped. Raises click.UsageError.

    ``but`` names an option that goes with it. Workers take settings from the environment, too.
    """
    context = click.get_current_context()
    given = {
        option.opts[0]
        for option in context.command.params
        if option.name and context.get_parameter_source(option.name) is not ParameterSource.DEFAULT
    }
    if record and (others := given - {"--record", but}):
        raise click.UsageError(f"--record keeps what is measured without {', '.join(sorted(others))}")
    if record and (settings := [name for name in os.environ if name.startswith("HERALD_")]):
        raise click.UsageError(f"--record keeps what is measured with no setting changed: unset {' '.join(settings)}")


def finish(
    out: Console,
    name: str,
    figures: dict[str, Any],
    *,
    details: Mapping[str, object],
    plot: Callable[[Path], None] | None,
    record: bool,
) -> None:
    """All of it goes to ``.herald/bench``; with ``record`` figures and plot go where people find them, and
    figures into the documents.

    The last thing that a benchmark does: one line of JSON on stdout, for machines.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    document = {"summary": figures, **recorded.machine(), **details}
    (HOME / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    out.print(f"figures: {HOME / name}.json")
    if plot is not None and canvas.can_draw():
        path = (IMAGES if record else HOME) / f"bench-{name}.svg"
        plot(path)
        out.print(f"plot:    {path}")
    elif plot is not None:
        out.print("no plot: matplotlib comes with the extra bench")
    if record:
        recorded.write(name, figures)
        page.rewrite()
    click.echo(msgspec.json.encode(figures).decode())
