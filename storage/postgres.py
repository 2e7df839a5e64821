"""Final outcomes and the event ledger, written to Postgres and read back.

Whatever comes twice changes nothing, and the first outcome of a notification wins. Hardly anything comes twice: a batch
goes into its table by COPY. Where the table does not take it, for a row that is there already or for any other reason,
it goes by way of a staging table and INSERT … ON CONFLICT DO NOTHING, as do those after it until one is all new again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from pipeline.ledger import EventRecord
from pipeline.outcomes import Outcome
from pipeline.ports import StoreResult
from storage import rows, sql
from storage.database import REFUSED, Connection, Database, affected, encoded
from storage.errors import RecordRefused
from storage.rows import Row
from storage.salvage import store_salvaging
from storage.sql import Table
from storage.statuses import NotificationStatus

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """A place in the order of a shipment's notifications."""

    listed_at: datetime
    id: UUID


class Page(NamedTuple):
    """``next`` is where the following page starts; None where this is the last."""

    items: list[NotificationStatus]
    next: Position | None


class PostgresOutcomes:
    """What the sink writes through.

    Every call may be repeated. Raises StorageUnavailable where Postgres cannot serve now, also when the tables are not
    there yet; a record that Postgres will never take comes back as rejected and harms none beside it.
    """

    def __init__(self, dsn: str, *, timeout_s: float, pool_size: int) -> None:
        self._database = Database(dsn, timeout_s=timeout_s, pool_size=pool_size, on_connect=_prepare)
        self._staged: set[Table] = set()

    async def start(self) -> None:
        await self._database.start()

    async def stop(self) -> None:
        await self._database.stop()

    async def ping(self) -> None:
        await self._database.ping()

    async def store_outcomes(self, outcomes: Sequence[Outcome]) -> StoreResult:
        return await store_salvaging(rows.outcome_rows(outcomes), self._keep_outcomes)

    async def store_events(self, events: Sequence[EventRecord]) -> StoreResult:
        return await store_salvaging(rows.event_rows(events), self._keep_events)

    async def _keep_outcomes(self, batch: Sequence[Row]) -> int:
        return await self._keep(sql.OUTCOMES, batch)

    async def _keep_events(self, batch: Sequence[Row]) -> int:
        return await self._keep(sql.EVENTS, batch)

    async def _keep(self, table: Table, batch: Sequence[Row]) -> int:
        """All of ``batch`` or nothing; returns how many rows are new."""
        if not batch:
            return 0
        try:
            return await self._write(table, batch)
        except RecordRefused:
            # Looked for only now: hardly any text holds what Postgres does not take.
            if (cleaned := rows.storable(batch)) == batch:
                raise
        return await self._write(table, cleaned)

    async def _write(self, table: Table, batch: Sequence[Row]) -> int:
        async with self._database.connection() as connection:
            if table not in self._staged:
                try:
                    return await _copy(connection, table.name, table, batch)
                except (*REFUSED, RecordRefused):
                    self._staged.add(table)
            async with connection.transaction():
                await _copy(connection, table.staging, table, batch)
                new = affected(await connection.execute(table.keep))
        if new == len(batch):
            self._staged.discard(table)
        return new


class PostgresStatuses:
    """What queries read through; needs no more than SELECT, so it may point at a replica.

    Raises StorageUnavailable where Postgres cannot serve now.
    """

    def __init__(self, dsn: str, *, timeout_s: float, pool_size: int) -> None:
        self._database = Database(dsn, timeout_s=timeout_s, pool_size=pool_size, settings=sql.PLAN_ONCE)

    async def start(self) -> None:
        await self._database.start()

    async def stop(self) -> None:
        await self._database.stop()

    async def outcome(self, notification_id: UUID) -> NotificationStatus | None:
        """How the notification ended; None while it has not."""
        return await self._one(sql.OUTCOME_BY_ID, notification_id)

    async def born(self, notification_id: UUID) -> NotificationStatus | None:
        """The notification as the ledger knows it: `Status.CREATED`, whatever has become of it since."""
        return await self._one(sql.BORN_BY_ID, notification_id)

    async def of_shipment(self, shipment_id: str, *, after: Position | None, limit: int) -> Page:
        """The notifications of a shipment, oldest first; those without an outcome yet as `Status.CREATED`.

        Paging by position shows each notification that was there at the first page once, whatever is added meanwhile.
        """
        listed_at, last_id = after if after is not None else (None, None)
        async with self._database.connection() as connection:
            found = await connection.fetch(sql.PAGE_OF_SHIPMENT, shipment_id, listed_at, last_id, limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        return Page(
            items=[_status(record) for record in shown],
            next=Position(shown[-1]["listed_at"], shown[-1]["id"]) if more else None,
        )

    async def _one(self, query: str, notification_id: UUID) -> NotificationStatus | None:
        async with self._database.connection() as connection:
            record = await connection.fetchrow(query, notification_id)
        return None if record is None else _status(record)


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute(sql.STAGING)
    # asyncpg's own way to write the three times of an outcome costs more than its other fifteen columns together.
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_written_time, decoder=_read_time, format="tuple"
    )


def _written_time(at: datetime) -> tuple[int]:
    """As PostgreSQL keeps it: microseconds since its own epoch."""
    return ((at - EPOCH) // MICROSECOND,)


def _read_time(kept: tuple[int]) -> datetime:
    return EPOCH + kept[0] * MICROSECOND


async def _copy(connection: Connection, name: str, table: Table, batch: Sequence[Row]) -> int:
    with encoded():
        return affected(await connection.copy_records_to_table(name, records=batch, columns=table.columns))


def _status(record: asyncpg.Record) -> NotificationStatus:
    return msgspec.convert({**record, "id": str(record["id"])}, NotificationStatus)
