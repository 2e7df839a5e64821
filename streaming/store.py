"""What if a RocksDB folder is damaged? It is a copy of a changelog: it is thrown away, and recovery makes it anew.

Damage may show when the folder is opened, or later, when a block of it is read. In the second case the folder is
marked, so that the worker, which ends, does not meet the same block again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from faust.stores.rocksdb import RocksDBOptions, Store
from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Options

log = structlog.get_logger(__name__)

MARK = "DAMAGED"

# What all tables of a worker keep of their files in memory.
CACHE_BYTES = 128 << 20
# What each partition of each table keeps of rows that are not in a file yet, once more while it writes one.
WRITE_BUFFER_BYTES = 2 << 20
FILE_BYTES = 8 << 20
# As much as four buffers: more would be written anew for each of them, less would soon be too many levels.
FIRST_LEVEL_BYTES = 8 << 20
# Of a hundred keys that are not there, one costs a look into a file.
BLOOM_BITS = 10


@lru_cache(maxsize=1)
def shared_cache() -> Cache:
    """Of every store of this process."""
    return Cache(CACHE_BYTES)


class SmallOptions(RocksDBOptions):
    """Faust's options give each partition of each table 192 MB for rows to write and a cache of 2 GB."""

    def as_options(self) -> Options:
        options: Options = super().as_options()
        blocks = BlockBasedOptions()
        blocks.set_block_cache(shared_cache())
        blocks.set_cache_index_and_filter_blocks(True)
        # In pieces, that the cache can keep or let go.
        blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
        blocks.set_bloom_filter(BLOOM_BITS, block_based=False)
        blocks.set_partition_filters(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_target_file_size_base(FILE_BYTES)
        options.set_max_bytes_for_level_base(FIRST_LEVEL_BYTES)
        return options


class CopyStore(Store):
    """Faust's, with bounded memory and a way out of corruption.

    Other errors (a full disk, a lock) say nothing against what is stored.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = SmallOptions(ttl=self.rocksdb_options.ttl)

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
