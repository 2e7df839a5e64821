"""A damaged local table is thrown away, at once or at the next start; anything else that fails is not.

All tables of a worker share what memory there is for them.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import faust
import pytest
from faust.types.tuples import TP

from streaming.store import MARK, STALE_AFTER_S, CopyStore
from streaming.store_options import (
    CACHE_BYTES,
    LOG_BYTES,
    LOGS,
    OPEN_FILES,
    WRITE_BUFFER_BYTES,
    allow_many_files,
    shared_cache,
)
from streaming.table import ChangelogTable, table
from tests.fakes import until

ROWS = 5_000
PARTITIONS = 8
DAY_S = 86_400.0
RESTARTS = 2


@pytest.fixture
def app(tmp_path: Path) -> faust.App:
    return faust.App(
        "store-tests", broker="kafka://127.0.0.1:1", store="rocksdb://", datadir=tmp_path, topic_partitions=PARTITIONS
    )


@pytest.fixture
def rows(app: faust.App) -> ChangelogTable:
    return table(app, "rows", help="")


@pytest.fixture
def folder(rows: ChangelogTable) -> Iterator[Path]:
    """Of a partition with rows on disk, closed."""
    database = rows.store._db_for_partition(0)
    for number in range(ROWS):
        database.put(b"%05d" % number, os.urandom(64))
    database.flush()
    database.close()
    rows.store._dbs.clear()
    yield rows.store.partition_path(0)
    for database in rows.store._dbs.values():
        database.close()


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    file.write_bytes(content)


def the(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda file: file.stat().st_size)


def restart(rows: ChangelogTable) -> None:
    """Its databases are closed, and opened again by whoever asks for them."""
    for database in rows.store._dbs.values():
        database.close()
    rows.store._dbs.clear()


def opened(rows: ChangelogTable) -> CopyStore:
    rows.store._db_for_partition(0)
    return rows.store


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT"])
def test_what_cannot_be_opened_is_thrown_away(rows: ChangelogTable, folder: Path, pattern: str) -> None:
    damage(the(folder, pattern))
    opened(rows)
    assert rows.read(0, b"00001") is None, "recovery begins at the start of the changelog"


def test_a_file_that_is_missing_is_damage_too(rows: ChangelogTable, folder: Path) -> None:
    the(folder, "*.sst").unlink()
    opened(rows)
    assert rows.read(0, b"00001") is None


def test_damage_that_shows_later_ends_this_life_and_not_the_next(rows: ChangelogTable, folder: Path) -> None:
    damage(the(folder, "*.sst"))
    store = opened(rows)
    with pytest.raises(Exception, match="Corruption"):
        rows.read_prefix(0, b"0")
    assert (folder / MARK).exists()
    store._dbs.pop(0).close()
    opened(rows)
    assert rows.read_prefix(0, b"0") == []
    assert not (folder / MARK).exists()


def test_a_healthy_folder_is_kept(rows: ChangelogTable, folder: Path) -> None:
    opened(rows)
    assert len(rows.read_prefix(0, b"0")) == ROWS


def test_a_folder_that_somebody_else_has_open_is_kept(rows: ChangelogTable, folder: Path) -> None:
    store = opened(rows)
    with pytest.raises(Exception, match=r"[Ll]ock"):
        store.rocksdb_options.open(folder)
    with pytest.raises(Exception, match=r"[Ll]ock"):
        store._open_for_partition(0)
    assert len(rows.read_prefix(0, b"0")) == ROWS


def test_a_changelog_becomes_rows_and_its_offset(rows: ChangelogTable) -> None:
    told = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None)]
    fetched = [SimpleNamespace(key=key, value=value, offset=7 + place) for place, (key, value) in enumerate(told)]
    rows.recover(0, fetched)
    assert [rows.read(0, key) for key in (b"a", b"b")] == [b"3", None]
    assert rows.persisted_offset(TP(rows.changelog_topic_name, 0)) == 10
    rows.store._dbs.pop(0).close()


def test_a_row_that_has_not_expired_outlives_every_restart(app: faust.App) -> None:
    """Seen events are such rows: one that is gone is told again."""
    seen = table(app, "seen", help="", forget_after_s=DAY_S)
    row = SimpleNamespace(key=b"event", value=b'["2019-01-01T00:00:00Z",["id"]]', offset=7)
    for partition in range(PARTITIONS):
        seen.recover(partition, [row])
    for _ in range(RESTARTS):
        restart(seen)
        for partition in range(PARTITIONS):
            seen.store._db_for_partition(partition).compact_range(None, None)
    for partition in range(PARTITIONS):
        assert seen.read(partition, row.key) == row.value
        assert seen.persisted_offset(TP(seen.changelog_topic_name, partition)) == row.offset
    restart(seen)


async def test_a_row_that_has_expired_is_gone(app: faust.App) -> None:
    seen = table(app, "seen", help="", forget_after_s=1)
    seen.recover(0, [SimpleNamespace(key=b"event", value=b"[]", offset=7)])
    restart(seen)

    def is_gone() -> bool:
        seen.store._db_for_partition(0).compact_range(None, None)
        return seen.read(0, b"event") is None

    await until(is_gone)
    restart(seen)


def test_a_folder_that_was_there_has_the_bounds_of_a_new_one(rows: ChangelogTable, folder: Path) -> None:
    database = opened(rows)._db_for_partition(0)
    assert database.property_int_value("rocksdb.block-cache-capacity") == CACHE_BYTES
    assert "filter_policy: bloomfilter" in (folder / "LOG").read_text()


@pytest.mark.parametrize(("idle_s", "left"), [(STALE_AFTER_S - 60, ROWS), (STALE_AFTER_S + 60, 0)])
def test_a_folder_that_may_have_missed_deletions_is_thrown_away(
    rows: ChangelogTable, folder: Path, idle_s: float, left: int
) -> None:
    for path in (folder, *folder.iterdir()):
        os.utime(path, times=(time.time() - idle_s,) * 2)
    opened(rows)
    assert len(rows.read_prefix(0, b"0")) == left


def test_rocksdbs_own_log_has_an_end(rows: ChangelogTable, folder: Path) -> None:
    for _ in range(3 * LOGS):
        opened(rows)
        restart(rows)
    assert len(list(folder.glob("LOG*"))) <= LOGS
    assert f"max_log_file_size: {LOG_BYTES}" in (folder / "LOG").read_text()


def test_a_worker_may_open_as_many_files_as_the_system_lets_it() -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        allow_many_files()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    assert soft == (OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES))


def test_memory_is_bounded_whatever_is_on_disk(rows: ChangelogTable) -> None:
    """With Faust's options each partition would keep all of this in memory, and more than a gigabyte between them."""
    row = os.urandom(1 << 14)
    many = range((CACHE_BYTES + PARTITIONS * 4 * WRITE_BUFFER_BYTES) // len(row))
    for number in many:
        rows.store._db_for_partition(number % PARTITIONS).put(b"%05d" % number, row)
    for database in rows.store._dbs.values():
        assert database.property_int_value("rocksdb.cur-size-all-mem-tables") <= 2 * WRITE_BUFFER_BYTES
    assert all(rows.read(number % PARTITIONS, b"%05d" % number) == row for number in many)
    # What is being read may overshoot it for a moment.
    assert CACHE_BYTES / 2 < shared_cache().get_usage() < 1.1 * CACHE_BYTES
    for database in rows.store._dbs.values():
        database.close()
