"""The schema goes up, all the way down and up again, by the real Liquibase on the real Postgres; rows come along."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

import storage
from cli.migrate import migrate as command
from cli.retention import make_partitions
from pipeline.errors import StorageUnavailable
from stack.liquibase import Liquibase
from storage.postgres import PostgresOutcomes

MIGRATIONS = Path(storage.__file__).parent / "migrations"
# Of the version before partitions.
BEFORE = ("0001", "0002", "0003")

OURS = """
SELECT relname, relkind FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'databasechangelog%'
ORDER BY relname
"""
COLUMNS = """
SELECT attrelid::regclass::text AS relation, attname, attnotnull, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = ANY ('{notification_outcome,event_ledger,unaccounted_notification}'::regclass[])
    AND attnum > 0 AND NOT attisdropped
ORDER BY 1, attnum
"""
OLD_OUTCOMES = """
INSERT INTO notification_outcome (
    notification_id, event_id, shipment_id, channel, recipient, status, attempts, template, template_version, locale,
    lane, created_at, finished_at
)
SELECT md5(n::text)::uuid, 'e-' || n, 's-' || n % 100, 'sms', 'r', 'sent', 1, 'ARRI', 1, 'en', 'bulk', now(), now()
FROM generate_series(1, 5000) AS n
"""
OLD_EVENTS = """
INSERT INTO event_ledger (
    source_topic, source_partition, source_offset, source_index, event_id, shipment_id, status, disposition,
    notifications, notification_ids, recorded_at
)
SELECT 'cargo.status.v1', 0, n, 0, 'e-' || n, 's-' || n % 100, 'ARRI', 'accepted',
    jsonb_build_array(jsonb_build_object('id', md5(n::text)::uuid, 'channel', 'sms', 'recipient', 'r', 'lane', 'bulk')),
    ARRAY[md5(n::text)::uuid], now()
FROM generate_series(1, 5001) AS n
"""
COUNTS = """
SELECT (SELECT count(*) FROM notification_outcome) AS outcomes, (SELECT count(*) FROM event_ledger) AS events,
    (SELECT count(*) FROM unaccounted_notification) AS unaccounted
"""
# The old primary keys alone go.
FILES = """
SELECT relfilenode FROM pg_class
WHERE relkind IN ('r', 'i') AND relname ~ '^(notif|event)' AND relname !~ '(outcome|ledger)_pkey$'
"""
# Validating a table and building an index count, too.
SCANS = "SELECT sum(seq_scan) FROM pg_stat_all_tables WHERE relid = ANY ('{{{names}}}'::regclass[])"
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def relations(dsn: str) -> list[str]:
    return [row["relname"] for row in await fetch(dsn, OURS)]


async def counts(dsn: str) -> tuple[int, int, int]:
    (row,) = await fetch(dsn, COUNTS)
    return tuple(row)


async def store(dsn: str, outcomes, events=()) -> int:
    """As a sink does that has just come up; returns how many were new."""
    sink = PostgresOutcomes(dsn, timeout_s=5, pool_size=1)
    await sink.start()
    try:
        return (await sink.store_outcomes(outcomes)).stored + (await sink.store_events(events)).stored
    finally:
        await sink.stop()


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The changesets of the version before."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    for path in (folder / "changesets").glob("*.sql"):
        if not path.name.startswith(BEFORE):
            path.unlink()
    return folder


async def test_update_rollback_of_all_and_update(empty_database: str) -> None:
    liquibase = Liquibase(empty_database, MIGRATIONS)
    liquibase.update()
    whole = await relations(empty_database)
    assert {"notification_outcome", "event_ledger", "unaccounted_notification"} <= set(whole)
    liquibase.rollback_all()
    assert await relations(empty_database) == []
    liquibase.update()
    assert await relations(empty_database) == whole


async def test_rows_of_the_version_before_come_along_and_back(empty_database: str, before: Path, make) -> None:
    old, new = Liquibase(empty_database, before), Liquibase(empty_database, MIGRATIONS)
    old.update()
    await fetch(empty_database, OLD_OUTCOMES)
    await fetch(empty_database, OLD_EVENTS)
    shape, there = await fetch(empty_database, COLUMNS), await relations(empty_database)
    assert await counts(empty_database) == (5_000, 5_001, 1)

    with pytest.raises(StorageUnavailable):
        await store(empty_database, [make.outcome()])  # the new version waits for its schema
    new.update()
    await asyncio.to_thread(make_partitions, empty_database)
    assert await counts(empty_database) == (5_000, 5_001, 1)
    (one,) = await fetch(empty_database, "SELECT * FROM notification_outcome LIMIT 1")
    known = make.outcome(notification_id=str(one["notification_id"]))
    fresh = make.outcome(first_seen_at=TODAY)
    lines = [make.event(0, [], first_seen_at=TODAY)]
    # What the version before has told, or put into Kafka, is known by its id alone: it has no time.
    assert await store(empty_database, [known, fresh], lines) == 2
    await fetch(empty_database, OLD_OUTCOMES.replace("generate_series(1, 5000)", "generate_series(5001, 5001)"))
    assert await counts(empty_database) == (5_002, 5_002, 0)

    new.rollback(4)
    assert await counts(empty_database) == (5_002, 5_002, 0)
    assert (await fetch(empty_database, COLUMNS), await relations(empty_database)) == (shape, there)
    new.update()
    assert await counts(empty_database) == (5_002, 5_002, 0)
    assert await store(empty_database, [known]) == 0


async def test_the_swap_reads_no_row_and_builds_no_index(empty_database: str, before: Path) -> None:
    """All of that was done before, under locks that let others work."""
    Liquibase(empty_database, before).update()
    await fetch(empty_database, OLD_OUTCOMES)
    await fetch(empty_database, OLD_EVENTS)
    for name in ("0004_first_seen_at.sql", "0005_undated_rows.sql"):
        shutil.copy(MIGRATIONS / "changesets" / name, before / "changesets")
    Liquibase(empty_database, before).update()
    before_it = await fetch(empty_database, FILES)
    (scanned,) = await fetch(empty_database, SCANS.format(names="notification_outcome,event_ledger"))
    Liquibase(empty_database, MIGRATIONS).update()
    assert set(before_it) <= set(await fetch(empty_database, FILES))
    names = "notification_outcome_undated,event_ledger_undated"
    assert await fetch(empty_database, SCANS.format(names=names)) == [scanned]


async def test_the_last_changeset_alone_is_taken_back_by_command(empty_database: str, make) -> None:
    """As on the way to the release before: rows stay, and what that release knows of is as it was."""

    def migrate(*arguments: str, said: str = "") -> Result:
        runner = CliRunner(env={"HERALD_POSTGRES": empty_database})
        return runner.invoke(command, list(arguments), input=said)

    assert (await asyncio.to_thread(migrate)).exit_code == 0
    shape = await fetch(empty_database, COLUMNS)
    await store(empty_database, [make.outcome(first_seen_at=TODAY)])
    back = await asyncio.to_thread(migrate, "--rollback", "1", said="y\n")
    assert (back.exit_code, back.output.splitlines()[1]) == (0, "0007-replay-of")
    gone = {tuple(column)[:2] for column in shape} - {tuple(one)[:2] for one in await fetch(empty_database, COLUMNS)}
    assert gone == {("notification_outcome", "replay_of")}
    assert (await counts(empty_database))[0] == 1
    assert (await asyncio.to_thread(migrate)).exit_code == 0
    assert await fetch(empty_database, COLUMNS) == shape
