"""What is done to files and file systems is what it says."""

import os
from pathlib import Path

import pytest
from rocksdict import Rdict

from tests.chaos.damage import damage_stores
from tests.chaos.disk import DiskUnavailable, SmallDisk, why_not


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """With rows in a file and rows in the log."""
    path = tmp_path / "worker" / "tables" / "claims-0.db"
    path.parent.mkdir(parents=True)
    rows = Rdict(str(path))
    for number in range(1_000):
        rows[f"key-{number}"] = os.urandom(100)
    rows.close()
    return path


def test_a_damaged_store_cannot_be_read(store: Path) -> None:
    before = {path: path.read_bytes() for path in store.iterdir() if path.is_file()}
    damaged = damage_stores(store.parents[1])
    assert {path.suffix or path.name[:8] for path in damaged} >= {".sst", "MANIFEST"}
    for path in before:
        assert (path.read_bytes() != before[path]) is (path in damaged)
        assert path.stat().st_size == len(before[path])
    with pytest.raises(Exception, match="Corruption"):
        Rdict(str(store))


def test_where_there_is_nothing_to_damage_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no RocksDB"):
        damage_stores(tmp_path)


def test_a_small_disk_is_filled_freed_and_gone(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("kept")
    disk = SmallDisk(tmp_path, size_mib=2)
    if why_not():
        with pytest.raises(DiskUnavailable, match=r"root|Linux|mount"):
            disk.mount()
        return
    disk.mount()
    try:
        assert list(tmp_path.iterdir()) == []
        disk.fill()
        with pytest.raises(OSError, match="No space left"), (tmp_path / "more").open("wb") as more:
            more.write(b"x")
        disk.free()
        (tmp_path / "more").write_bytes(b"x")
        SmallDisk(tmp_path, size_mib=2).mount()
        assert list(tmp_path.iterdir()) == [], "one mounted over another"
    finally:
        disk.unmount()
    assert not os.path.ismount(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["before"]
