"""How does a table row become durable? Its changelog record is acknowledged first, then the local store follows.

Faust's own table writes locally at once and sends its changelog without waiting for it. Here the order is turned
round: RocksDB only ever holds what the changelog holds, rows are written a batch at a time, and a row may be written
from any task. Assignment, recovery and standby stay Faust's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.stores.rocksdb import Store
from faust.types.tuples import TP
from rocksdict import WriteBatch

from streaming.engine import Drained
from streaming.lost import behind
from streaming.producer import Record, RecordSink
from streaming.records import FetchedRecord
from streaming.store import CopyStore

if TYPE_CHECKING:
    from streaming.app import ConsumerApp

OFFSET_KEY = Store.offset_key

Row = tuple[bytes, bytes | None]


class ChangelogTable(faust.Table[bytes, bytes]):
    """Rows of raw bytes, in one RocksDB store for each partition that is assigned to this worker."""

    def _new_store(self) -> CopyStore:
        return CopyStore(
            self.app.conf.store,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_type=self.value_type,
            value_serializer=self.value_serializer,
            loop=self.loop,
            options=self.options,
        )

    @property
    def store(self) -> CopyStore:
        return cast(CopyStore, self.data)

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The row as the changelog has it; None if there is none. Does not block on the network."""
        database = self._database(partition)
        try:
            return cast(bytes | None, database.get(key))
        except Exception:
            # A microsecond a row that only what fails should pay.
            with self.store.watched(partition):
                raise

    def read_prefix(self, partition: int, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """The rows whose keys begin so, in the order of their keys. For tables of few rows."""
        rows: list[tuple[bytes, bytes]] = []
        database = self._database(partition)
        with self.store.watched(partition):
            found = database.iter()
            found.seek(prefix)
            while found.valid() and found.key().startswith(prefix):
                rows.append((found.key(), found.value()))
                found.next()
            # At a damaged block it just ends.
            found.status()
        return rows

    async def write(self, producer: RecordSink, rows: Mapping[int, Sequence[Row]]) -> None:
        """Put rows by partition (None deletes) and return when the broker has them.

        All of them are under way at once: one partition after the other, each would wait for the broker anew. Raises
        ProduceFailed, Drained, and RecordsLost where the changelog has gone back behind the table.
        """
        engine = cast("ConsumerApp", self.app).engine
        number = engine.assignments
        topic = self.changelog_topic_name
        records = [Record(topic, *row, None, partition) for partition, some in rows.items() for row in some]
        offsets = await producer.send_all(records)
        taken_away: Drained | None = None
        for partition, last in offsets.items():
            try:
                self._follow(partition, rows[partition], last, may_be_ahead=number != engine.assignments)
            except Drained as drained:
                # The others' rows are in their changelogs, and must be in their stores, too.
                taken_away = drained
        if taken_away is not None:
            raise taken_away

    def _follow(self, partition: int, rows: Sequence[Row], last: int, *, may_be_ahead: bool) -> None:
        """The changelog has ``rows``, up to the offset ``last``; a recovery since may have read them already."""
        batch = _batch(rows)
        database = self._database(partition)
        with self.store.watched(partition):
            stored = database.get(OFFSET_KEY)
            known = int(stored) if stored is not None else -1
            if 0 <= last <= known:
                if may_be_ahead:
                    # It has read these rows, and what somebody else may have put in their place since.
                    return
                self.store.mark(partition)
                raise behind(self.name, TP(self.changelog_topic_name, partition), last, known)
            if last - len(rows) == known:
                batch.put(OFFSET_KEY, str(last).encode())
            # Otherwise somebody else has written since, a part of these is there twice, or it is not known where they
            # are: the next recovery reads it.
            database.write(batch)

    def recover(self, partition: int, records: Sequence[FetchedRecord]) -> None:
        """Put what the changelog says: records in offset order, and with them the offset of the last."""
        batch = _batch((record.key or b"", record.value) for record in records)
        batch.put(OFFSET_KEY, str(records[-1].offset).encode())
        with self.store.watched(partition):
            self.store._db_for_partition(partition).write(batch)

    def partitions_here(self) -> set[int]:
        """The partitions of the changelog that are assigned to this worker as active."""
        topic = self.changelog_topic_name
        return {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == topic}

    def _database(self, partition: int) -> Any:
        try:
            return self.store._dbs[partition]
        except KeyError:
            # Opening it here would lock the folder of a partition that is somebody else's now.
            raise Drained(f"{self.name}-{partition} is not assigned to this worker") from None


def _batch(rows: Iterable[Row]) -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    return batch


def table(app: faust.App, name: str, *, help: str, forget_after_s: float | None = None) -> ChangelogTable:
    """Define a table of ``app``, before it starts; its changelog topic must be there.

    With ``forget_after_s`` RocksDB drops rows that old as it compacts, as the changelog does by its retention.
    """
    defined = ChangelogTable(
        app,
        name=name,
        key_type=bytes,
        value_type=bytes,
        partitions=app.conf.topic_partitions,
        help=help,
        options={} if forget_after_s is None else {"ttl": round(forget_after_s)},
    )
    app.tables.add(defined)
    return defined
