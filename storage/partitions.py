"""How do the partitioned tables keep up with time? Partitions are made ahead, and dropped when they are old.

Rows that have no time of their own cannot be dropped with others of their age: those of the undated and the default
partition are deleted one by one, when their record is old by the clock of the worker that made it.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import asyncpg

from pipeline.errors import HeraldError
from pipeline.retention import RetentionPolicy, Span, to_drop, to_make
from storage import sql
from storage.database import affected, translated

CONNECT_TIMEOUT_S = 10.0
# Rows that had no partition are moved, and another run may be at it.
STEP_TIMEOUT_S = 600.0
DELETE_AT_ONCE = 50_000


class Table(NamedTuple):
    """``clock`` is the column by which a row without a time of its own is old."""

    name: str
    clock: str

    @property
    def catch_alls(self) -> tuple[str, str]:
        return f"{self.name}_undated", f"{self.name}_default"


# The ledger first: a notification in it whose outcome has been dropped would look lost.
TABLES = (Table("event_ledger", "recorded_at"), Table("notification_outcome", "finished_at"))


class Act(StrEnum):
    MAKE = "make"
    DROP = "drop"
    DELETE_ROWS = "delete rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """``rows`` were moved to the partition, or deleted from it; ``problem`` is why it has not been done."""

    act: Act
    table: Table
    partition: str
    span: Span | None = None
    rows: int = 0
    problem: str | None = None


class Busy(HeraldError):
    """Somebody holds the table for long; nothing has been changed."""


class Partitions:
    """Of the tables of one database; one call at a time. Raises StorageUnavailable, and Busy where it says so."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def spans(self, table: Table) -> dict[Span, str]:
        """What lies where, but for the catch-alls."""
        with translated():
            found = await self._connection.fetch(sql.SPANS, table.name)
        return {Span(row["since"], row["until"]): row["name"] for row in found}

    async def strays(self, table: Table, limit: int) -> int:
        """How many rows fit no other partition than the default one; counted up to ``limit``."""
        with translated():
            return int(await self._connection.fetchval(sql.COUNT_STRAYS.format(table=table.name), limit))

    async def make(self, table: Table, name: str, span: Span) -> int:
        """Returns how many rows had been waiting for it in the default partition. Raises Busy."""
        words = {"table": table.name, "name": name, "since": span.since.isoformat(), "until": span.until.isoformat()}
        with translated(), _hurried():
            async with self._connection.transaction():
                await self._connection.execute(sql.SHORT_LOCK)
                await self._connection.execute(sql.MAKE_PARTITION.format(**words))
                moved = await self._connection.execute(sql.MOVE_ROWS.format(**words))
                await self._connection.execute(sql.ATTACH_PARTITION.format(**words))
        return affected(moved)

    async def drop(self, name: str) -> None:
        """Raises Busy."""
        with translated(), _hurried():
            async with self._connection.transaction():
                await self._connection.execute(sql.SHORT_LOCK)
                await self._connection.execute(sql.DROP_PARTITION.format(name=name))

    async def count_old_rows(self, name: str, clock: str, oldest: datetime) -> int:
        with translated():
            return int(await self._connection.fetchval(sql.COUNT_OLD_ROWS.format(name=name, clock=clock), oldest))

    async def delete_old_rows(self, name: str, clock: str, oldest: datetime) -> int:
        """Returns how many; as many transactions as it takes, so what is broken off has not been for nothing."""
        delete = sql.DELETE_OLD_ROWS.format(name=name, clock=clock)
        deleted = 0
        with translated():
            while some := affected(await self._connection.execute(delete, oldest, DELETE_AT_ONCE)):
                deleted += some
        return deleted


@asynccontextmanager
async def opened(dsn: str, *, alone: bool) -> AsyncIterator[Partitions]:
    """``alone``: after whoever else is at it. Raises StorageUnavailable."""
    with translated():
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STEP_TIMEOUT_S,
            server_settings={"application_name": "cargo-herald-retention", "timezone": "UTC", "datestyle": "ISO"},
        )
    try:
        if alone:
            with translated():
                await connection.execute(sql.RETENTION_LOCK)
        yield Partitions(connection)
    finally:
        connection.terminate()  # the lock goes with it


async def plan(partitions: Partitions, policy: RetentionPolicy, now: datetime) -> list[Step]:
    """What is to be done, in an order in which it can be broken off anywhere. Raises StorageUnavailable."""
    steps: list[Step] = []
    there = {table: await partitions.spans(table) for table in TABLES}
    for table in TABLES:
        steps += [
            Step(act=Act.MAKE, table=table, partition=f"{table.name}_p{span.since:%Y%m%d}", span=span)
            for span in to_make(there[table], now, policy)
        ]
    for table in TABLES:
        steps += [
            Step(act=Act.DROP, table=table, partition=there[table][span], span=span)
            for span in to_drop(there[table], now, policy)
        ]
    for table in TABLES:
        for name in table.catch_alls:
            if rows := await partitions.count_old_rows(name, table.clock, policy.oldest(now)):
                steps.append(Step(act=Act.DELETE_ROWS, table=table, partition=name, rows=rows))
    return steps


async def carry_out(partitions: Partitions, steps: Sequence[Step], oldest: datetime) -> list[Step]:
    """The steps as they went. Raises StorageUnavailable.

    None is tried after one that could not be done: partitions would have a gap between them, or outcomes go before
    their ledger.
    """
    done: list[Step] = []
    problem: str | None = None
    for step in steps:
        if problem is None:
            try:
                done.append(replace(step, rows=await _one(partitions, step, oldest)))
                continue
            except Busy as busy:
                problem = str(busy)
        done.append(replace(step, rows=0, problem=problem))
        problem = "not tried after that"
    return done


async def _one(partitions: Partitions, step: Step, oldest: datetime) -> int:
    if step.act is Act.MAKE:
        assert step.span is not None, "a partition is made for a span"
        return await partitions.make(step.table, step.partition, step.span)
    if step.act is Act.DROP:
        await partitions.drop(step.partition)
        return 0
    return await partitions.delete_old_rows(step.partition, step.table.clock, oldest)


@contextmanager
def _hurried() -> Iterator[None]:
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise Busy("somebody holds the table for long: the next run tries again") from error
