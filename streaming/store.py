"""What if a RocksDB folder is damaged, or too old? It is a copy of a changelog: recovery makes it anew.

Damage may show when the folder is opened, or later, when a block of it is read. In the second case the folder is
marked, so that the worker, which ends, does not meet the same block again.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from faust.stores.rocksdb import Store

from streaming.store_options import BoundedOptions

log = structlog.get_logger(__name__)

MARK = "DAMAGED"
# Kafka keeps a tombstone for a day (``delete.retention.ms``): a folder that was not in use for longer may hold rows
# that have been deleted since, and nothing in the changelog says so any more. RocksDB writes into one that is in use
# every ten minutes. Half of it, for a recovery must be over by then.
STALE_AFTER_S = 43_200.0


class CopyStore(Store):
    """Faust's, with bounded memory and a way out of corruption.

    Other errors (a full disk, a lock) say nothing against what is stored.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = BoundedOptions(ttl=self.rocksdb_options.ttl)

    def _open_for_partition(self, partition: int) -> Any:
        folder = self.partition_path(partition)
        if (folder / MARK).exists():
            self._discard(folder, "marked when it was last used")
        elif folder.exists() and (idle_s := round(time.time() - last_used(folder))) > STALE_AFTER_S:
            log.warning("local table is old: recovering it from its changelog", table=self.table_name, idle_s=idle_s)
            shutil.rmtree(folder)
        try:
            return super()._open_for_partition(partition)
        except Exception as error:  # rocksdict has no class of its own
            if not is_corruption(error):
                raise
            self._discard(folder, str(error))
            return super()._open_for_partition(partition)

    def _discard(self, folder: Path, reason: str) -> None:
        log.error("local table is damaged: recovering it from its changelog", table=self.table_name, reason=reason)
        shutil.rmtree(folder)

    @contextmanager
    def watched(self, partition: int) -> Iterator[None]:
        """Around whatever touches a partition's database: its errors are raised on and end the worker."""
        try:
            yield
        except Exception as error:  # rocksdict has no class of its own
            if is_corruption(error):
                self.mark(partition)
            raise

    def mark(self, partition: int) -> None:
        """The next start throws this folder away."""
        try:
            (self.partition_path(partition) / MARK).touch()
        except OSError as full:
            log.warning("cannot mark a damaged table", table=self.table_name, reason=str(full))


def last_used(folder: Path) -> float:
    """Seconds since the epoch. Files come and go while somebody else has it open."""
    times = [folder.stat().st_mtime]
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            times.append(file.stat().st_mtime)
    return max(times)


def is_corruption(error: Exception) -> bool:
    """RocksDB's words for it, a missing file among them, which rocksdict passes on as the text of a bare Exception."""
    text = str(error)
    return type(error) is Exception and (text.startswith("Corruption") or "No such file" in text)
