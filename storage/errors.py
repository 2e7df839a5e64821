"""What can go wrong with a store, and who has to act.

    HeraldError
    ├── StorageUnavailable      Postgres cannot serve now: try the whole call again later
    ├── CacheUnavailable        Redis cannot serve now: go on without it
    └── RecordRefused           Postgres will never take this record: set it aside, keep the rest

They leave the adapters as the only errors of asyncpg, redis and the network that a caller meets.
"""

from pipeline.errors import HeraldError


class StorageUnavailable(HeraldError):
    """Nothing of the call is certain to be stored; every call is idempotent, so repeating it is safe."""


class CacheUnavailable(HeraldError):
    """Costs speed, nothing else: whatever Redis holds, Postgres or Kafka holds too."""


class RecordRefused(HeraldError):
    """The data breaks the schema; the same record can never be stored."""
