"""How do the workers look while they work? Their memory and what has been stored, every second, until the end."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.bench.gauges import RowWatch
from tests.bench.processes import resident_bytes

EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """``at_s`` from the start of the clock; resident memory by worker."""

    at_s: float
    rows: int
    bytes: Mapping[str, int]


async def sample_until_cancelled(
    samples: list[Sample], pids: Mapping[str, int], watch: RowWatch, table: str, *, every_s: float = EVERY_S
) -> None:
    start = time.perf_counter()
    while True:
        samples.append(
            Sample(
                at_s=time.perf_counter() - start,
                rows=watch.rows[table],
                bytes={name: resident_bytes(pid) for name, pid in pids.items()},
            )
        )
        await asyncio.sleep(every_s)


def growth(samples: Sequence[Sample], total: int) -> dict[str, float]:
    """By worker, how much more memory the last quarter of the rows took than the second: 0.05 is five per cent.

    The first quarter is left out: caches and buffers fill, and code runs for the first time. Empty where there are too
    few samples.
    """
    early = [one for one in samples if total * 0.25 <= one.rows < total * 0.5]
    late = [one for one in samples if total * 0.75 <= one.rows]
    if not early or not late:
        return {}
    return {
        name: max(one.bytes[name] for one in late) / max(one.bytes[name] for one in early) - 1
        for name in early[0].bytes
    }


def per_second(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Rows a second between each two samples, by the time of the later one."""
    return [
        (after.at_s, (after.rows - before.rows) / (after.at_s - before.at_s)) for before, after in pairwise(samples)
    ]
