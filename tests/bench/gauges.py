"""When is a run at its end? Rows are counted as Postgres commits them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

CHANNEL = "bench"
# A notice comes with its commit. It does not say of how many rows: to count them in the trigger, Postgres would have to
# keep each of them for it, and COPY could not write many at once.
FUNCTION = """
CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', TG_TABLE_NAME);
    RETURN NULL;
END $$
"""
TRIGGER = "CREATE TRIGGER bench AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION bench_tell()"
# What Postgres has noted of its partitions, a second late or so.
ESTIMATE = """
SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables
WHERE relid = $1::text::regclass OR relid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))
"""
EXACT = "SELECT count(*) FROM {table}"
LOOK_EVERY_S = 0.5


class RowWatch:
    """About how many rows each table has, and when a commit last brought some.

    Rows are counted only while no commit comes: not while it would take time from those who work.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._told = False
        self.rows: Counter[str] = Counter()
        self.last_at: dict[str, float] = {}

    async def start(self, tables: Iterable[str]) -> None:
        await self._connection.execute(FUNCTION)
        for table in tables:
            await self._connection.execute(TRIGGER.format(table=table))
        await self._connection.add_listener(CHANNEL, self._on_notice)

    def _on_notice(self, _connection: Any, _pid: int, _channel: str, table: Any) -> None:
        self._told = True
        self.last_at[table] = time.perf_counter()

    async def wait_for(self, expected: Mapping[str, int], timeout_s: float) -> None:
        """Raises TimeoutError, which says what is missing."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._has_all(expected):
                    pass
        except TimeoutError as error:
            raise TimeoutError(f"{dict(self.rows)} of {dict(expected)} rows after {timeout_s:g} s") from error

    async def _has_all(self, expected: Mapping[str, int]) -> bool:
        self._told = False
        await asyncio.sleep(LOOK_EVERY_S)
        count = not self._told
        for table in expected:
            if count:
                self.rows[table] = await self._connection.fetchval(EXACT.format(table=table))
            else:
                # It may be older than the last exact one.
                self.rows[table] = max(self.rows[table], await self._connection.fetchval(ESTIMATE, table))
        return count and all(self.rows[table] >= rows for table, rows in expected.items())


COUNT = "SELECT (SELECT count(*) FROM notification_outcome), (SELECT count(*) FROM event_ledger)"


async def wait_for_rows(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    notifications: int,
    events: int,
    timeout_s: float,
    every_s: float = 0.5,
) -> None:
    """Until so many rows are there, without a trigger. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            row: Any = await connection.fetchrow(COUNT, timeout=timeout_s)
            if row[0] >= notifications and row[1] >= events:
                return
            await asyncio.sleep(every_s)
