"""What do all rounds say together? The figures of both sides, the ratios, and their spread."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.figures import Spread, spread
from tests.bench.run import Run

BASELINE, HERALD = "baseline", "herald"

Runs = Mapping[str, Sequence[Run]]


def summary(runs: Runs, *, rounds: int, load: float) -> dict[str, Any]:
    """``load`` is the machine's before it began: above about 1, somebody else was measured too.

    What is asked of first comes first, then the rest for each side; ``…_range`` is the least and the most of a round.
    """
    found: dict[str, Any] = {}
    if {BASELINE, HERALD} <= runs.keys():
        baseline, herald = runs[BASELINE], runs[HERALD]
        found = {
            "baseline_per_s": round(per_s(baseline).median),
            "herald_per_s": round(per_s(herald).median),
            "ratio": round(per_s(herald).median / per_s(baseline).median, 2),
            "baseline_cpu_us": round(cpu_us(baseline).median, 1),
            "herald_cpu_us": round(cpu_us(herald).median, 1),
            "cpu_ratio": round(cpu_us(herald).median / cpu_us(baseline).median, 2),
        }
    every = [run for some in runs.values() for run in some]
    found |= {
        "rounds": rounds,
        "lost": sum(run.lost for run in every),
        "duplicates": sum(run.duplicates for run in every),
    }
    if {BASELINE, HERALD} <= runs.keys():
        found["ratio_range"] = ratio_range(runs, lambda run: run.per_s)
        found["cpu_ratio_range"] = ratio_range(runs, lambda run: run.cpu_us)
    for name, some in runs.items():
        found |= {f"{name}_{key}": value for key, value in side(some).items()}
    return found | {"load_before": round(load, 2)}


def side(runs: Sequence[Run]) -> dict[str, Any]:
    rates, costs = per_s(runs), cpu_us(runs)
    return {
        "per_s": round(rates.median),
        "per_s_range": [round(rates.low), round(rates.high)],
        "cpu_us": round(costs.median, 1),
        "cpu_us_range": [round(costs.low, 1), round(costs.high, 1)],
        "cpu_us_by_worker": {
            name: round(value.median, 1) for name, value in workers_us(runs).items() if value.high >= 0.05
        },
        "server_cpu_us": round(spread(run.server_cpu_us for run in runs).median, 1),
        "all_cpu_us": round(spread(run.all_cpu_us for run in runs).median, 1),
        "cpu_us_by_server": {name: round(value.median, 1) for name, value in servers_us(runs).items()},
        "busy_processes": max(len(run.busy) for run in runs),
        "peak_mb": round(spread(run.peak_mb for run in runs).median),
        "peak_mb_by_worker": {
            name: round(max(run.peak_bytes[name] for run in runs) / 1e6) for name in runs[0].peak_bytes
        },
        "kafka_bytes": round(spread(run.kafka_bytes for run in runs).median),
        "notifications": runs[0].notifications,
    }


def ratio_range(runs: Runs, figure: Callable[[Run], float]) -> list[float]:
    """The least and the most of a round, in which both ran one after the other."""
    rounds = zip(runs[HERALD], runs[BASELINE], strict=True)
    found = spread(figure(ours) / figure(theirs) for ours, theirs in rounds)
    return [round(found.low, 2), round(found.high, 2)]


def per_s(runs: Sequence[Run]) -> Spread:
    return spread(run.per_s for run in runs)


def cpu_us(runs: Sequence[Run]) -> Spread:
    return spread(run.cpu_us for run in runs)


def workers_us(runs: Sequence[Run]) -> dict[str, Spread]:
    """CPU of each worker, µs for each notification of the run."""
    return {name: spread(run.cpu_s[name] / run.notifications * 1e6 for run in runs) for name in runs[0].cpu_s}


def servers_us(runs: Sequence[Run]) -> dict[str, Spread]:
    names = runs[0].server_cpu_s
    return {name: spread(run.server_cpu_s[name] / run.notifications * 1e6 for run in runs) for name in names}
