"""The schema goes up, all the way down and up again, by the real Liquibase on the real Postgres."""

from pathlib import Path

import asyncpg

import storage
from stack.liquibase import Liquibase

MIGRATIONS = Path(storage.__file__).parent / "migrations"

OURS = """
SELECT relname, relkind FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'databasechangelog%'
ORDER BY relname
"""


async def relations(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["relname"] for row in await connection.fetch(OURS)]
    finally:
        await connection.close()


async def test_update_rollback_of_all_and_update(empty_database: str) -> None:
    liquibase = Liquibase(empty_database, MIGRATIONS)
    liquibase.update()
    whole = await relations(empty_database)
    assert {"notification_outcome", "event_ledger", "unaccounted_notification"} <= set(whole)
    liquibase.rollback_all()
    assert await relations(empty_database) == []
    liquibase.update()
    assert await relations(empty_database) == whole
