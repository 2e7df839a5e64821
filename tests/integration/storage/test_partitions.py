"""Partitions are made ahead of their rows and dropped behind them; whatever has no place of its own is kept, too."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from click.testing import CliRunner

from cli.retention import retention
from pipeline.notifications import UNDATED
from pipeline.retention import AHEAD, RetentionPolicy, covered_until
from stack.postgres import execute
from storage.partitions import TABLES, Act, carry_out, opened, plan

LEDGER, OUTCOMES = TABLES
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
POLICY = RetentionPolicy(keep_days=400, step_days=7)
WHERE = "SELECT tableoid::regclass::text AS partition, count(*) FROM notification_outcome GROUP BY 1 ORDER BY 1"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database, timeout=10, command_timeout=10)
    yield connection
    await connection.close()


async def keep(database: str, now: datetime, policy: RetentionPolicy = POLICY):
    async with opened(database, alone=True) as partitions:
        return await carry_out(partitions, await plan(partitions, policy, now), policy.oldest(now))


async def lies(connection) -> dict[str, int]:
    return {row["partition"].rpartition("_")[2]: row["count"] for row in await connection.fetch(WHERE)}


async def test_a_fresh_database_has_partitions_for_the_coming_days(database: str) -> None:
    async with opened(database, alone=False) as partitions:
        for table in TABLES:
            assert covered_until(await partitions.spans(table), NOW) >= NOW + AHEAD
        assert await plan(partitions, POLICY, NOW) == []


async def test_rows_lie_where_their_event_was_first_seen(outcomes, connection, make) -> None:
    seen = {"today": NOW, "undated": UNDATED, "long ago": NOW - 3_000 * DAY, "never": datetime.max.replace(tzinfo=UTC)}
    batch = [make.outcome(first_seen_at=one) for one in seen.values()]
    assert (await outcomes.store_outcomes(batch)).stored == 4
    assert (await outcomes.store_outcomes(batch)).stored == 0
    found = await lies(connection)
    assert (found.pop("undated"), found.pop("default"), list(found.values())) == (1, 2, [1])


async def test_rows_that_came_before_their_partition_are_moved_into_it(database, outcomes, connection, make) -> None:
    later = NOW + 30 * DAY
    await outcomes.store_outcomes([make.outcome(first_seen_at=later, finished_at=NOW) for _ in range(50)])
    await outcomes.store_outcomes([make.outcome(first_seen_at=NOW - 3_000 * DAY, finished_at=NOW)])
    await outcomes.store_events([make.event(1, [], first_seen_at=later, recorded_at=NOW)])
    assert await lies(connection) == {"default": 51}
    steps = await keep(database, later)
    assert {step.act for step in steps} == {Act.MAKE}
    assert {step.table: step.rows for step in steps if step.rows} == {OUTCOMES: 50, LEDGER: 1}
    found = await lies(connection)
    assert (found.pop("default"), list(found.values())) == (1, [50])
    assert await keep(database, later) == []


async def test_old_partitions_go_whole_and_the_ledger_before_its_outcomes(database, outcomes, connection, make) -> None:
    await outcomes.store_outcomes([make.outcome(first_seen_at=NOW)])
    one = next(iter(await lies(connection)))
    before = await lies(connection)
    await keep(database, NOW + 400 * DAY - 7 * DAY)
    assert await lies(connection) == before
    steps = [step for step in await keep(database, NOW + 407 * DAY) if step.act is Act.DROP]
    assert [step.table for step in steps] == sorted((step.table for step in steps), key=TABLES.index)
    assert f"notification_outcome_{one}" in {step.partition for step in steps}
    assert await lies(connection) == {}


async def test_rows_without_a_time_of_their_own_go_by_the_clock(
    database, outcomes, connection, make, monkeypatch
) -> None:
    monkeypatch.setattr("storage.partitions.DELETE_AT_ONCE", 2)
    old, young = NOW - 401 * DAY, NOW - 399 * DAY
    for first_seen_at in (UNDATED, NOW - 3_000 * DAY):
        ended = [make.outcome(first_seen_at=first_seen_at, finished_at=at) for at in (old, old, old, young, young)]
        await outcomes.store_outcomes(ended)
    steps = await keep(database, NOW)
    assert [(step.act, step.partition, step.rows) for step in steps] == [
        (Act.DELETE_ROWS, "notification_outcome_undated", 3),
        (Act.DELETE_ROWS, "notification_outcome_default", 3),
    ]
    assert await lies(connection) == {"undated": 2, "default": 2}


async def test_two_at_once_do_it_once(database) -> None:
    later = NOW + 60 * DAY
    steps = await asyncio.gather(keep(database, later), keep(database, later))
    assert sorted(bool(some) for some in steps) == [False, True]
    assert not any(step.problem for some in steps for step in some)


async def test_who_holds_the_table_for_long_is_waited_for_the_next_time(database, connection) -> None:
    later = NOW + 30 * DAY
    async with connection.transaction():
        await connection.fetch("SELECT FROM event_ledger")  # as a long query does
        first, *others = await keep(database, later)
    assert first.problem is not None and "next run" in first.problem
    assert {step.problem for step in others} == {"not tried after that"}
    async with opened(database, alone=False) as partitions:
        assert len(await partitions.spans(LEDGER)) == len(await partitions.spans(OUTCOMES))
    assert not any(step.problem for step in await keep(database, later))


async def test_the_sink_goes_on_while_a_partition_waits_to_be_made(database, connection, outcomes, make) -> None:
    async with connection.transaction():
        await connection.fetch("SELECT FROM event_ledger")
        at_it = asyncio.create_task(keep(database, NOW + 30 * DAY))
        offset = 0
        while not at_it.done():
            offset += 1
            assert (await outcomes.store_events([make.event(offset, [], first_seen_at=NOW)])).stored == 1
            await asyncio.sleep(0.05)
    assert any(step.problem for step in at_it.result())


def herald_retention(database: str, *arguments: str, **environment: str):
    return CliRunner(env={"HERALD_POSTGRES": database, "COLUMNS": "160", **environment}).invoke(
        retention, list(arguments)
    )


DROP_ALL = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_p20[0-9]{6}$' LOOP
        EXECUTE 'DROP TABLE ' || name;
    END LOOP;
END $$
"""


def test_the_command_says_what_it_does_and_would_do(database: str) -> None:
    done = herald_retention(database)
    assert (done.exit_code, done.output.startswith("nothing to do")) == (0, True), done.output
    execute(database, DROP_ALL)
    daily = {"HERALD_RETENTION_DAYS": "31", "HERALD_RETENTION_STEP_DAYS": "1"}
    would = herald_retention(database, "--dry-run", **daily)
    assert herald_retention(database, "--dry-run", **daily).output == would.output
    done = herald_retention(database, **daily)
    assert (would.exit_code, done.exit_code) == (0, 0)
    planned = would.output.replace("would be made", "made")
    assert planned.replace("─", "").split() == done.output.replace("─", "").split()


def test_a_database_that_was_not_migrated_is_told_so(empty_database: str) -> None:
    done = herald_retention(empty_database)
    assert done.exit_code == 1
    assert "herald migrate" in done.output
