"""How far does the pipeline grow? Every point that is measured, as data, with what is expected of it.

What is expected was written down before it was measured, as multiples of the point that a group begins with:

- ``workers``: everything runs on the same cores, and one worker a role fills two of them. More workers and partitions
  bring no speed there, and must not cost much; each worker has its own memory.
- ``shipments`` and ``rows``: rows lie in RocksDB, so neither speed nor memory depends on how many there are; a worker
  that keeps its folder is back as fast as without them, one that has lost it reads them all from the changelog.
"""

from dataclasses import dataclass, replace

# What one worker reads and writes while a table recovers.
RECOVERED_PER_S = 30_000.0


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Multiples, within a group; ``recovered_rows`` are read after a folder is lost."""

    per_s: float = 1.0
    peak_mb: float = 1.0
    recovered_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Point:
    """``rows`` are seen events, and as many records of claims, that a former life has left in the changelogs."""

    group: str
    value: str
    workers: int = 1
    partitions: int = 4
    shipments: int = 20_000
    rows: int = 0
    expected: Expectation = Expectation()

    @property
    def name(self) -> str:
        return f"{self.group}-{self.value}"

    def scaled(self, scale: float) -> "Point":
        """With fewer rows and shipments, for a quick look."""
        return replace(
            self,
            shipments=max(1_000, round(self.shipments * scale)),
            rows=round(self.rows * scale),
            expected=replace(self.expected, recovered_rows=round(self.expected.recovered_rows * scale)),
        )


WORKERS = [
    Point(
        group="workers",
        value=f"{workers}x{partitions}",
        workers=workers,
        partitions=partitions,
        expected=Expectation(peak_mb=workers),
    )
    for partitions in (4, 16, 64)
    for workers in (1, 2, 4)
]
SHIPMENTS = [
    Point(
        group="shipments",
        value=value,
        shipments=shipments,
        expected=Expectation(recovered_rows=shipments),
    )
    for value, shipments in (("1K", 1_000), ("100K", 100_000), ("1M", 1_000_000))
]
ROWS = [
    Point(group="rows", value=value, rows=rows, expected=Expectation(recovered_rows=rows))
    for value, rows in (("0", 0), ("1M", 1_000_000), ("5M", 5_000_000))
]
POINTS = [*WORKERS, *SHIPMENTS, *ROWS]
