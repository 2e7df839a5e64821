"""How is a RocksDB database opened? So that what it takes is bounded, whatever is on disk: memory, logs, open files."""

import resource
from functools import lru_cache
from pathlib import Path

import structlog
from faust.stores.rocksdb import RocksDBOptions
from rocksdict import AccessType, BlockBasedIndexType, BlockBasedOptions, Cache, Options, Rdict

log = structlog.get_logger(__name__)

# What all tables of a worker keep of their files in memory.
CACHE_BYTES = 128 << 20
# What each partition of each table keeps of rows that are not in a file yet, once more while it writes one.
WRITE_BUFFER_BYTES = 2 << 20
FILE_BYTES = 8 << 20
# As much as four buffers: more would be written anew for each of them, less would soon be too many levels.
FIRST_LEVEL_BYTES = 8 << 20
LOG_BYTES, LOGS = 1 << 20, 4
# Half a terabyte of files as large as ours.
OPEN_FILES = 65_536
# Of a hundred keys that are not there, one costs a look into a file.
BLOOM_BITS = 10
# The same for rows that are not in a file yet, as a part of their buffer: most events have not been seen before.
MEMORY_BLOOM = 0.02


@lru_cache(maxsize=1)
def shared_cache() -> Cache:
    """Of every store of this process."""
    return Cache(CACHE_BYTES)


class BoundedOptions(RocksDBOptions):
    """Faust's options give each partition of each table 192 MB for rows to write and a cache of 2 GB."""

    def open(self, path: Path, *, read_only: bool = False) -> Rdict:
        """A database that is there already has these options, too. There is none that is only read."""
        options = self.as_options()
        return Rdict(
            str(path),
            options=options,
            # Left out, they come from the folder: without its filter and our cache, and with the expiry of the last
            # time inside the new one, which takes the ends of values for times and drops rows that are wanted.
            column_families={"default": options},
            access_type=AccessType.read_write() if self.ttl is None else AccessType.with_ttl(self.ttl),
        )

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
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(MEMORY_BLOOM)
        options.set_target_file_size_base(FILE_BYTES)
        options.set_max_bytes_for_level_base(FIRST_LEVEL_BYTES)
        # RocksDB's own log, of every file that it writes: by default without an end, and a thousand old ones beside it.
        options.set_max_log_file_size(LOG_BYTES)
        options.set_keep_log_file_num(LOGS)
        return options


def allow_many_files() -> None:
    """RocksDB keeps every file of a table open, and is not told what others of the process need; sockets, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as refused:  # macOS says "unlimited", and means less
            log.warning("cannot raise the limit of open files", soft=soft, wanted=wanted, reason=str(refused))
