"""`make bench-sink` in small: both layouts take the sink's own writes."""

import asyncio
from pathlib import Path

import pytest

from tests.bench.sink import LAYOUTS, Point, database, measure, postgres


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_takes_what_the_sink_writes(layout: str, tmp_path: Path) -> None:
    told: list[Point] = []
    with postgres(tmp_path) as (server, main), database(server, LAYOUTS[layout]) as dsn:
        asyncio.run(measure(dsn, main, rows=2_000, points=2, batch=500, writers=2, tell=told.append))
    assert [point.rows for point in told] == [1_000, 2_000]
    assert all(point.per_s > 0 for point in told)
