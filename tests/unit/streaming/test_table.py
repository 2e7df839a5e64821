"""Rows of several partitions: durable at once, then each in its store, with the offset up to which it follows."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from rocksdict import Options, Rdict

from streaming.engine import Drained
from streaming.lost import RecordsLost
from streaming.producer import UNTOLD, ProduceFailed, Record
from streaming.table import OFFSET_KEY, ChangelogTable
from tests.simulation.tables import SoundStore


class Broker:
    """A changelog; ``next`` is the next offset by partition."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}
        self.fails = self.is_silent = False
        self.on_sent: Callable[[], None] = lambda: None
        self.sent: list[list[Record]] = []

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        if self.fails:
            raise ProduceFailed("told to fail")
        self.sent.append(list(records))
        offsets: dict[int, int] = {}
        for one in records:
            offsets[one.partition] = self.next.get(one.partition, 0)
            self.next[one.partition] = offsets[one.partition] + 1
        self.on_sent()
        return dict.fromkeys(offsets, UNTOLD) if self.is_silent else offsets


class Store(SoundStore):
    def __init__(self) -> None:
        self.marked: list[int] = []

    def mark(self, partition: int) -> None:
        self.marked.append(partition)


class Local:
    """A ChangelogTable on RocksDB, with everything of Faust's left out."""

    name = "rows"
    changelog_topic_name = "rows-changelog"
    read = ChangelogTable.read
    write = ChangelogTable.write
    _follow = ChangelogTable._follow

    def __init__(self, databases: dict[int, Rdict]) -> None:
        self.app = SimpleNamespace(engine=SimpleNamespace(assignments=1))
        self.store = Store()
        self.databases = databases

    def _database(self, partition: int) -> Any:
        if partition not in self.databases:
            raise Drained("not assigned")
        return self.databases[partition]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def table(tmp_path: Any) -> Any:
    databases = {number: Rdict(str(tmp_path / str(number)), Options(raw_mode=True)) for number in (0, 1)}
    yield Local(databases)
    for database in databases.values():
        database.close()


def follows_to(table: Local, partition: int) -> int | None:
    """The offset from which a recovery would read on."""
    known = table.databases[partition].get(OFFSET_KEY)
    return None if known is None else int(known)


async def test_rows_of_all_partitions_go_to_the_broker_at_once(table: Local, broker: Broker) -> None:
    await table.write(broker, {0: [(b"a", b"1"), (b"b", b"2")], 1: [(b"c", b"3")]})
    assert [[(one.partition, one.key, one.value) for one in some] for some in broker.sent] == [
        [(0, b"a", b"1"), (0, b"b", b"2"), (1, b"c", b"3")]
    ]
    assert [table.read(0, b"a"), table.read(0, b"b"), table.read(1, b"c"), table.read(1, b"a")] == [
        b"1",
        b"2",
        b"3",
        None,
    ]
    assert [follows_to(table, 0), follows_to(table, 1)] == [1, 0]


async def test_none_takes_a_row_away(table: Local, broker: Broker) -> None:
    await table.write(broker, {0: [(b"a", b"1")]})
    await table.write(broker, {0: [(b"a", None)]})
    assert table.read(0, b"a") is None
    assert follows_to(table, 0) == 1


async def test_what_the_broker_has_not_taken_is_not_in_the_store(table: Local, broker: Broker) -> None:
    broker.fails = True
    with pytest.raises(ProduceFailed):
        await table.write(broker, {0: [(b"a", b"1")]})
    assert table.read(0, b"a") is None
    assert follows_to(table, 0) is None


async def test_a_partition_that_was_taken_away_does_not_keep_the_others_from_following(
    table: Local, broker: Broker
) -> None:
    with pytest.raises(Drained):
        await table.write(broker, {7: [(b"x", b"0")], 1: [(b"c", b"3")]})
    assert table.read(1, b"c") == b"3"
    assert follows_to(table, 1) == 0


async def test_a_partition_that_somebody_else_wrote_to_is_read_again_from_there(table: Local, broker: Broker) -> None:
    """Its rows are there, but the next recovery must read what lies between."""
    await table.write(broker, {0: [(b"a", b"1")], 1: [(b"c", b"3")]})
    broker.next[0] += 1
    await table.write(broker, {0: [(b"a", b"2")], 1: [(b"c", b"4")]})
    assert [table.read(0, b"a"), table.read(1, b"c")] == [b"2", b"4"]
    assert [follows_to(table, 0), follows_to(table, 1)] == [0, 1]


async def test_rows_that_the_broker_does_not_say_the_place_of_are_read_again(table: Local, broker: Broker) -> None:
    await table.write(broker, {0: [(b"a", b"1")]})
    broker.is_silent = True
    await table.write(broker, {0: [(b"a", b"2")]})
    broker.is_silent = False
    await table.write(broker, {0: [(b"b", b"3")]})
    assert [table.read(0, b"a"), table.read(0, b"b")] == [b"2", b"3"]
    assert follows_to(table, 0) == 0


async def test_a_changelog_that_went_back_behind_its_table_ends_the_worker(table: Local, broker: Broker) -> None:
    await table.write(broker, {0: [(b"a", b"1"), (b"b", b"2")], 1: [(b"c", b"3")]})
    broker.next[0] = 0
    with pytest.raises(RecordsLost, match="rows-changelog-0 went back to 1, rows had got to 1;"):
        await table.write(broker, {0: [(b"a", b"4"), (b"b", b"5")]})
    assert table.store.marked == [0]
    assert table.read(0, b"a") == b"1"


async def test_a_recovery_may_have_read_the_rows_before_it_is_known_that_they_are_there(
    table: Local, broker: Broker
) -> None:
    """And with them a newer one, which the partition's owner meanwhile has put in the place of one of them."""
    await table.write(broker, {0: [(b"a", b"1")]})

    def assigned_anew() -> None:
        table.app.engine.assignments += 1
        database = table.databases[0]
        database[b"a"], database[b"b"], database[OFFSET_KEY] = b"by the other", b"2", b"3"

    broker.on_sent = assigned_anew
    await table.write(broker, {0: [(b"a", b"2"), (b"b", b"2")]})
    assert [table.read(0, b"a"), table.read(0, b"b")] == [b"by the other", b"2"]
    assert (follows_to(table, 0), table.store.marked) == (3, [])
