"""When is a run at its end? Rows are counted as Postgres commits them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

CHANNEL = "bench"
# A notice comes with its commit, so rows are counted when they are durable, and nothing is asked while they are not.
FUNCTION = """
CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', TG_TABLE_NAME || ' ' || (SELECT count(*) FROM new_rows));
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER bench AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION bench_tell()
"""


class RowWatch:
    """How many rows of each table have been committed since `start`, and when the last of them was."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._told = asyncio.Event()
        self.rows: Counter[str] = Counter()
        self.last_at: dict[str, float] = {}

    async def start(self, tables: Iterable[str]) -> None:
        await self._connection.execute(FUNCTION)
        for table in tables:
            await self._connection.execute(TRIGGER.format(table=table))
        await self._connection.add_listener(CHANNEL, self._on_notice)

    def _on_notice(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        table, _, count = payload.partition(" ")
        self.rows[table] += int(count)
        self.last_at[table] = time.perf_counter()
        self._told.set()

    async def wait_for(self, expected: Mapping[str, int], timeout_s: float) -> None:
        """Raises TimeoutError, which says what is missing."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(self.rows[table] < count for table, count in expected.items()):
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError as error:
            raise TimeoutError(f"{dict(self.rows)} of {dict(expected)} rows after {timeout_s:g} s") from error


COUNT = "SELECT (SELECT count(*) FROM notification_outcome), (SELECT count(*) FROM event_ledger)"


async def wait_for_rows(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    notifications: int,
    events: int,
    timeout_s: float,
    every_s: float = 0.5,
) -> None:
    """Until so many rows are there, without a trigger in their way. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            row: Any = await connection.fetchrow(COUNT, timeout=timeout_s)
            if row[0] >= notifications and row[1] >= events:
                return
            await asyncio.sleep(every_s)
