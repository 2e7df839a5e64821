"""What if a RocksDB folder is damaged? It is a copy of a changelog: it is thrown away, and recovery makes it anew.

Damage may show when the folder is opened, or later, when a block of it is read. In the second case the folder is
marked, so that the worker, which ends, does not meet the same block again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from faust.stores.rocksdb import Store

from streaming.store_memory import BoundedOptions

log = structlog.get_logger(__name__)

MARK = "DAMAGED"


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
            self._discard(folder, "marked as damaged when it was last used")
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
                self._mark(partition)
            raise

    def _mark(self, partition: int) -> None:
        try:
            (self.partition_path(partition) / MARK).touch()
        except OSError as full:
            log.warning("cannot mark a damaged table", table=self.table_name, reason=str(full))


def is_corruption(error: Exception) -> bool:
    """RocksDB's words for it, a missing file among them, which rocksdict passes on as the text of a bare Exception."""
    text = str(error)
    return type(error) is Exception and (text.startswith("Corruption") or "No such file" in text)
