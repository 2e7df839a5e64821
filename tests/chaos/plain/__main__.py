"""What does the same job lose on plain Faust, fault by fault?

    python -m tests.chaos.plain --seed 1 [--only NAME]

Prints a table and, as its last line, the same as JSON. Ends with 0 whatever was lost: these are figures, not promises.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.plain.faults import SCENARIOS
from tests.chaos.plain.scenario import Scenario
from tests.chaos.plain.scene import set_up
from tests.chaos.plain.settle import Ending, Settled, settle

AT_ONCE = 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """``at_first`` is how it stood by itself, ``in_the_end`` after a restart by hand where it had stalled."""

    name: str
    at_first: Settled
    in_the_end: Settled
    crashes: int
    hung: int
    seconds: float
    load: float

    @property
    def came_back(self) -> str:
        if self.at_first.ending is not Ending.STALLED:
            return "by itself" if self.at_first.ending is not Ending.UNSETTLED else "not in time"
        return "no" if self.in_the_end.ending is Ending.STALLED else "after a restart"


def run(scenario: Scenario, folder: Path, seed: int) -> Report:
    began = time.monotonic()
    with set_up(scenario, folder / scenario.name, seed) as scene:
        with scene.feed(seed=seed, poison=scenario.poison):
            scene.wait_for_progress(60.0)
            scenario.befall(scene)
        at_first = in_the_end = settle(scene)
        if at_first.ending is Ending.STALLED:
            scene.workers.restart_all()
            in_the_end = settle(scene)
        return Report(
            name=scenario.name,
            at_first=at_first,
            in_the_end=in_the_end,
            crashes=scene.workers.crashes,
            hung=scene.workers.hung,
            seconds=time.monotonic() - began,
            load=os.getloadavg()[0],
        )


def table_of(reports: list[Report]) -> Table:
    table = Table("fault", "events", "owed", "lost", "given up", "told twice", "no row", "came back", "s", "load")
    for one in reports:
        counted = one.in_the_end.tally
        missing = f"{counted.lost}"
        if one.at_first.ending is Ending.STALLED:
            missing += f" ({one.at_first.tally.lost} before)"
        table.add_row(
            *(one.name, str(counted.events), str(counted.owed), missing, str(counted.given_up)),
            *(str(counted.told_twice), str(counted.lost + counted.unrecorded), one.came_back),
            *(f"{one.seconds:.0f}", f"{one.load:.1f}"),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Plain Faust under the faults that ours is put under.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--only", choices=[one.name for one in SCENARIOS])
    options = parser.parse_args()
    chosen = [one for one in SCENARIOS if options.only in (None, one.name)]
    folder = Path(tempfile.mkdtemp(prefix="plain-"))
    console = Console(width=140)
    console.print(f"logs are in {folder}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(run, one, folder, options.seed) for one in chosen]
        try:
            for ended in as_completed(runs):
                console.print(said(ended))
        except BaseException:
            # Those that have begun stop what they started, in their own time.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        reports = [one.result() for one in runs if one.exception() is None]
    console.print(table_of(reports))
    line = msgspec.json.encode([{**asdict(one), "came_back": one.came_back} for one in reports]).decode()
    console.print(line, soft_wrap=True, markup=False, highlight=False)
    if len(reports) < len(chosen):
        sys.exit(f"{len(chosen) - len(reports)} of the faults could not be tried")


def said(run: Future[Report]) -> str:
    if (error := run.exception()) is not None:
        return f"not tried: {error!r}"
    report = run.result()
    return f"{report.name}: {report.came_back}, {report.crashes} crashes, {report.in_the_end.tally}"


if __name__ == "__main__":
    main()
