"""Outcomes and events in Postgres: idempotent, the first wins, one bad record harms none beside it."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from pipeline.errors import StorageUnavailable
from pipeline.ledger import Born, Disposition, Source
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Status
from storage.postgres import PostgresOutcomes
from storage.sql import OUTCOME_COLUMNS


async def fetch(dsn, query, *arguments):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def test_an_outcome_comes_back_as_it_was_stored(outcomes, database, make):
    outcome = make.outcome(reason="Отправлено")
    assert (await outcomes.store_outcomes([outcome])).stored == 1
    [row] = await fetch(database, "SELECT * FROM notification_outcome")
    assert {name: str(row[name]) for name in OUTCOME_COLUMNS} == {
        name: str(getattr(outcome, name)) for name in OUTCOME_COLUMNS
    }


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 28, 4, 5, 6, 789_123, UTC),
        datetime(2026, 11, 28, 4, 5, 6, 789_123, timezone(timedelta(hours=-3, minutes=-30))),
        datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(1970, 1, 1, 0, 0, 0, 1, UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
    ids=str,
)
async def test_a_time_is_the_same_moment_for_whoever_reads_it(outcomes, database, make, at):
    assert (await outcomes.store_outcomes([make.outcome(finished_at=at)])).stored == 1
    [row] = await fetch(database, "SELECT finished_at FROM notification_outcome")
    assert row["finished_at"] == at


async def test_the_same_batch_twice_changes_nothing(outcomes, database, make):
    batch = [make.outcome() for _ in range(50)]
    assert (await outcomes.store_outcomes(batch)).stored == 50
    before = await fetch(database, "SELECT * FROM notification_outcome ORDER BY 1")
    again = await outcomes.store_outcomes(batch)
    assert (again.stored, again.rejected) == (0, ())
    assert await fetch(database, "SELECT * FROM notification_outcome ORDER BY 1") == before


async def test_overlapping_batches_store_each_outcome_once(outcomes, database, make):
    batch = [make.outcome() for _ in range(60)]
    assert (await outcomes.store_outcomes(batch[:40])).stored == 40
    assert (await outcomes.store_outcomes(batch[20:])).stored == 20
    [row] = await fetch(database, "SELECT count(*) FROM notification_outcome")
    assert row["count"] == 60


async def test_what_is_known_and_what_is_refused_may_come_in_one_batch_with_what_is_new(outcomes, database, make):
    known = make.outcome()
    assert (await outcomes.store_outcomes([known])).stored == 1
    for _ in range(2):
        result = await outcomes.store_outcomes([make.outcome(), known, make.outcome(attempts=-1), make.outcome()])
        assert (result.stored, [rejected.index for rejected in result.rejected]) == (2, [2])
    for _ in range(2):
        assert (await outcomes.store_outcomes([make.outcome(), make.outcome()])).stored == 2
    [row] = await fetch(database, "SELECT count(*) FROM notification_outcome")
    assert row["count"] == 9


async def test_the_first_outcome_wins_within_a_batch_and_across_batches(outcomes, database, make):
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    batch = [
        make.outcome(notification_id=one, status=Status.DELIVERED),
        make.outcome(notification_id=one, status=Status.EXPIRED),
        make.outcome(notification_id=two, status=Status.UNCONFIRMED),
    ]
    assert (await outcomes.store_outcomes(batch)).stored == 2
    await outcomes.store_outcomes([make.outcome(notification_id=two, status=Status.DELIVERED)])
    rows = await fetch(database, "SELECT notification_id, status FROM notification_outcome")
    assert {(str(row[0]), row[1]) for row in rows} == {(one, "delivered"), (two, "unconfirmed")}


async def test_two_writers_of_the_same_records_at_once_agree(database, make):
    """What a rebalance can bring about: the zombie and its successor store the same, in different orders."""
    batch = [make.outcome() for _ in range(500)]
    writers = [PostgresOutcomes(database, timeout_s=10, pool_size=1) for _ in range(2)]
    for writer in writers:
        await writer.start()

    async def store(writer, records):
        for _ in range(5):
            try:
                return (await writer.store_outcomes(records)).stored
            except StorageUnavailable:  # the loser of a deadlock is told to come again
                continue
        raise AssertionError("five deadlocks in a row")

    stored = await asyncio.gather(store(writers[0], batch), store(writers[1], batch[::-1]))
    for writer in writers:
        await writer.stop()
    assert sum(stored) == 500


POISON = [
    ("not a uuid", {"notification_id": "nonsense"}),
    ("a status that is not final", {"status": Status.SENDING}),
    ("attempts past what the column holds", {"attempts": 2**40}),
    ("negative attempts", {"attempts": -1}),
    ("a number where text belongs", {"recipient": 7}),
    ("a missing value", {"template": None}),
]


@pytest.mark.parametrize(("intent", "change"), POISON, ids=[intent for intent, _ in POISON])
async def test_a_record_that_breaks_the_schema_is_rejected_alone(outcomes, database, make, intent, change):
    batch = [make.outcome() for _ in range(20)]
    batch[13] = make.outcome(**change)
    result = await outcomes.store_outcomes(batch)
    assert result.stored == 19
    assert [rejected.index for rejected in result.rejected] == [13]
    assert result.rejected[0].reason
    [row] = await fetch(database, "SELECT count(*) FROM notification_outcome")
    assert row["count"] == 19


async def test_many_offenders_are_all_named_and_the_rest_is_stored(outcomes, make):
    batch = [make.outcome(attempts=-1) if index % 7 == 0 else make.outcome() for index in range(100)]
    result = await outcomes.store_outcomes(batch)
    assert [rejected.index for rejected in result.rejected] == list(range(0, 100, 7))
    assert result.stored == 85


async def test_a_nul_is_replaced_in_sight_and_the_record_kept(outcomes, database, make):
    born = Born(id=str(uuid.uuid4()), channel=Channel.PUSH, recipient='q"\\u0000\0', lane=Lane.BULK)
    event = make.event(1, [], event_id="e\0vent", reason="a\0b", notifications=(born,))
    assert (await outcomes.store_outcomes([make.outcome(reason="50\0\0% off")])).rejected == ()
    assert (await outcomes.store_events([event])).rejected == ()
    [outcome] = await fetch(database, "SELECT reason FROM notification_outcome")
    [ledger] = await fetch(database, "SELECT event_id, reason, notifications->0->>'recipient' AS who FROM event_ledger")
    assert outcome["reason"] == "50\ufffd\ufffd% off"
    assert tuple(ledger) == ("e\ufffdvent", "a\ufffdb", 'q"\\u0000\ufffd')


async def test_an_empty_batch_is_no_work(outcomes):
    assert (await outcomes.store_outcomes([])).stored == 0
    assert (await outcomes.store_events([])).stored == 0


async def test_an_event_is_known_by_where_it_was_read(outcomes, database, make):
    source = {"topic": "cargo.status.v1", "partition": 2, "offset": 7}
    batch = [
        make.event(0, [str(uuid.uuid4())], source=Source(**source)),
        make.event(0, [], source=Source(**source, index=1), disposition=Disposition.REPEATED),
        make.event(0, [], source=Source(**source), disposition=Disposition.REPEATED),
    ]
    assert (await outcomes.store_events(batch)).stored == 2
    assert (await outcomes.store_events(batch)).stored == 0
    rows = await fetch(database, "SELECT source_index, disposition FROM event_ledger ORDER BY 1")
    assert [tuple(row) for row in rows] == [(0, "accepted"), (1, "repeated")]


async def test_an_event_too_broken_to_have_a_name_is_stored(outcomes, database, make):
    event = make.event(
        3, [], event_id=None, shipment_id=None, status=None, disposition=Disposition.REFUSED, reason="no JSON"
    )
    assert (await outcomes.store_events([event])).stored == 1
    [row] = await fetch(database, "SELECT event_id, shipment_id, disposition, reason FROM event_ledger")
    assert tuple(row) == (None, None, "refused", "no JSON")


async def test_the_account_lists_what_has_no_outcome_yet(outcomes, database, make):
    ended, waiting = str(uuid.uuid4()), str(uuid.uuid4())
    await outcomes.store_events([make.event(1, [ended, waiting]), make.event(2, [waiting])])
    await outcomes.store_outcomes([make.outcome(notification_id=ended)])
    [row] = await fetch(database, "SELECT * FROM unaccounted_notification")
    assert (str(row["id"]), row["event_id"], row["shipment_id"], row["channel"]) == (
        waiting,
        "event-1",
        "shipment-1",
        "email",
    )
    await outcomes.store_outcomes([make.outcome(notification_id=waiting)])
    assert await fetch(database, "SELECT * FROM unaccounted_notification") == []


async def test_every_column_is_explained_to_analysts(database):
    unexplained = await fetch(
        database,
        """
        SELECT attrelid::regclass, attname FROM pg_attribute
        WHERE attrelid = ANY ('{notification_outcome,event_ledger,unaccounted_notification}'::regclass[])
          AND attnum > 0 AND col_description(attrelid, attnum) IS NULL
        """,
    )
    assert unexplained == []


async def test_nobody_there_is_unavailable_and_not_a_stack_of_library_errors(unused_tcp_port):
    store = PostgresOutcomes(f"postgresql://postgres@127.0.0.1:{unused_tcp_port}/postgres", timeout_s=1, pool_size=1)
    await store.start()
    with pytest.raises(StorageUnavailable):
        await store.ping()
    await store.stop()


async def test_tables_not_there_yet_is_unavailable(outcomes, database, make):
    await fetch(database, "DROP TABLE notification_outcome CASCADE")
    with pytest.raises(StorageUnavailable, match="notification_outcome"):
        await outcomes.store_outcomes([make.outcome()])


async def test_a_cut_connection_costs_one_call(database, gated, make):
    gate, dsn = await gated(database)
    store = PostgresOutcomes(dsn, timeout_s=2, pool_size=1)
    await store.start()
    batch = [make.outcome() for _ in range(5)]
    assert (await store.store_outcomes(batch[:1])).stored == 1
    await gate.shut()
    with pytest.raises(StorageUnavailable):
        await store.store_outcomes(batch)
    await gate.open()
    assert (await store.store_outcomes(batch)).stored == 4
    await store.stop()


async def test_a_silent_postgres_is_given_up_in_time_and_taken_up_again(database, gated, make):
    gate, dsn = await gated(database)
    store = PostgresOutcomes(dsn, timeout_s=1.5, pool_size=1)
    await store.start()
    batch = [make.outcome()]
    await store.ping()
    gate.fall_silent()
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        await store.store_outcomes(batch)
    assert time.monotonic() - started < 3 * 1.5
    await gate.shut()
    await gate.open()
    assert (await store.store_outcomes(batch)).stored == 1
    await store.stop()


async def test_a_backend_ended_by_the_operator_is_unavailable(outcomes, database, make):
    await outcomes.ping()
    await fetch(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'cargo-herald'",
    )
    batch = [make.outcome()]
    try:
        result = await outcomes.store_outcomes(batch)
    except StorageUnavailable:
        result = await outcomes.store_outcomes(batch)
    assert result.stored == 1


async def test_five_thousand_outcomes_are_stored_fast(outcomes, make):
    """A floor a slow machine clears; the figures themselves stand in docs/performance.md."""
    batches = [[make.outcome() for _ in range(500)] for _ in range(10)]
    await outcomes.ping()
    started, cpu = time.perf_counter(), time.process_time()
    stored = [(await outcomes.store_outcomes(batch)).stored for batch in batches]
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert sum(stored) == 5_000
    assert 5_000 / elapsed > 2_000, f"{5_000 / elapsed:.0f} rows/s, {cpu / 5_000 * 1e6:.0f} µs of CPU a row"
