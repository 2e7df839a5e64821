"""What does a table stand on? The changelog in the broker, and a store on the worker's disk that outlives its process.

Writing and reading are the code under test (`streaming.table.ChangelogTable`); recovery, which is Faust's, reads the
changelog on from the offset that the store knows.
"""

from bisect import bisect_left
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from faust.types.tuples import TP

from streaming.engine import Drained
from streaming.table import OFFSET_KEY, ChangelogTable

if TYPE_CHECKING:
    from tests.simulation.roles import SimulatedApp

Store = dict[bytes, bytes]


class Batch:
    """A rocksdict.WriteBatch."""

    def __init__(self, raw_mode: bool) -> None:
        self.changes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.changes.append((key, value))

    def delete(self, key: bytes) -> None:
        self.changes.append((key, None))


class Database:
    """A RocksDB of one partition."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def iter(self) -> "Rows":
        return Rows(self._store)

    def write(self, batch: Batch) -> None:
        for key, value in batch.changes:
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value


class Rows:
    """A RocksDB iterator."""

    def __init__(self, store: Store) -> None:
        self._rows = sorted(store.items())
        self._at = 0

    def seek(self, key: bytes) -> None:
        self._at = bisect_left(self._rows, key, key=itemgetter(0))

    def valid(self) -> bool:
        return self._at < len(self._rows)

    def key(self) -> bytes:
        return self._rows[self._at][0]

    def value(self) -> bytes:
        return self._rows[self._at][1]

    def next(self) -> None:
        self._at += 1

    def status(self) -> None: ...


class SoundStore:
    """A CopyStore on a disk that damages nothing."""

    def watched(self, partition: int) -> AbstractContextManager[None]:
        return nullcontext()


class SimulatedTable:
    """A ChangelogTable with everything of Faust's left out."""

    def __init__(self, app: "SimulatedApp", name: str, changelog: str) -> None:
        self.app = app
        self._life = app.life
        self.name = name
        self.changelog_topic_name = changelog
        self.store = SoundStore()
        self._open: dict[int, Database] = {}

    # Not what a subclass inherits: Faust's own table wants a whole app.
    read = ChangelogTable.read
    read_prefix = ChangelogTable.read_prefix
    write = ChangelogTable.write
    _follow = ChangelogTable._follow

    def _database(self, partition: int) -> Any:
        try:
            return self._open[partition]
        except KeyError:
            raise Drained(f"{self.name}-{partition} is not assigned to this worker") from None

    def recover(self, partitions: Iterable[int]) -> None:
        """Have these partitions and no others, as far as their changelogs have come."""
        self._open = {}
        for partition in sorted(partitions):
            store = self._life.world.disk(self._life.name, self.name, partition)
            known = int(store.get(OFFSET_KEY, b"-1"))
            log = self._life.world.broker.logs[TP(self.changelog_topic_name, partition)]
            for record in log[known + 1 :]:
                if record.value is None:
                    store.pop(record.key, None)  # type: ignore[arg-type]
                else:
                    store[record.key] = record.value  # type: ignore[index]
            if log:
                store[OFFSET_KEY] = str(len(log) - 1).encode()
            self._open[partition] = Database(store)
