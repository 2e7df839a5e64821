"""`make bench` in small: both sides once, everything told once, and Cargo Herald not slower by far.

Its ratio is printed, not judged: other tests and a cold start are in it. `make bench` judges.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.compare import run_once, sides
from tests.bench.servers import bench_servers
from tests.bench.summary import BASELINE, HERALD, summary

EVENTS = 10_000
# Cold, and beside whatever the machine does: a fault that makes it three times slower shows.
FLOOR = 0.5
# Whose CPU must be in the figures: three processes on either side do the work.
WORKERS = {BASELINE: {"enrich", "send", "sink"}, HERALD: {"enrich", "send-sms", "sink"}}


@pytest.mark.timeout(180)
def test_both_sides_tell_everything_once(tmp_path: Path, note: Callable[[str], None]) -> None:
    with bench_servers(tmp_path / "stack") as servers:
        starts = sides(tmp_path)
        runs = {name: [run_once(starts[name], servers, seed="small", events=EVENTS)] for name in (BASELINE, HERALD)}
    figures = summary(runs, rounds=1, load=0)
    note(
        f"{figures['herald_per_s']:,}/s beside {figures['baseline_per_s']:,}/s by hand: ratio {figures['ratio']:.2f}; "
        f"CPU {figures['herald_cpu_us']:.0f} µs beside {figures['baseline_cpu_us']:.0f} µs"
    )
    assert (figures["lost"], figures["duplicates"]) == (0, 0)
    assert all(run.cpu_s.get(worker, 0) > 0 for name, some in runs.items() for run in some for worker in WORKERS[name])
    assert figures["ratio"] > FLOOR
