"""A bounded pool of Postgres connections, where every call has a time limit and every error is one of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pipeline.errors import StorageUnavailable
from storage import sql
from storage.errors import RecordRefused

# In quotes: generic for the type checker alone.
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
OnConnect: TypeAlias = "Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[object, object, None]] | None"

REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

# What passes by itself or by an operator's hand, without a change to the data or to this code.
UNAVAILABLE = (
    OSError,  # refused, reset, name not resolved
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under our hands
    asyncpg.InternalClientError,  # the same, where the server's last word came between two statements
    asyncpg.OperatorInterventionError,  # shutting down, starting up, a statement cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.ReadOnlySQLTransactionError,  # a failover has not ended
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,  # credentials are being rotated
    asyncpg.InvalidCatalogNameError,  # the database is not there yet
    asyncpg.UndefinedTableError,  # the migrations have not run yet
    asyncpg.UndefinedColumnError,  # nor those of this version
)


@contextmanager
def translated() -> Iterator[None]:
    """Turns what asyncpg and the network raise into ours; anything else is a bug and passes."""
    try:
        yield
    except REFUSED as error:
        raise RecordRefused(_described(error)) from error
    except UNAVAILABLE as error:
        raise StorageUnavailable(f"postgres: {_described(error)}") from error


@contextmanager
def encoded() -> Iterator[None]:
    """Around COPY alone, where asyncpg lets a value that does not fit its column raise as it may."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordRefused(_described(error)) from error


def affected(tag: str) -> int:
    """How many rows a command was about: the last word of its tag, as in ``COPY 5`` and ``INSERT 0 5``."""
    return int(tag.rpartition(" ")[2])


class Database:
    """Opens connections when they are needed: an unreachable Postgres is no reason not to start.

    ``timeout_s`` limits each call as a whole and each statement in it; a call that ran into it is rolled back by the
    server or, where that is no longer known, its connection is given up. ``settings`` are Postgres' own, for the life
    of each connection: what a SET says is gone when the pool takes the connection back.
    """

    def __init__(
        self,
        dsn: str,
        *,
        timeout_s: float,
        pool_size: int,
        on_connect: OnConnect = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._pool_size = pool_size
        self._on_connect = on_connect
        self._settings = {"application_name": "cargo-herald", **(settings or {})}
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def start(self) -> None:
        with translated():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._pool_size,
                init=self._on_connect,
                timeout=self._timeout_s,
                command_timeout=self._timeout_s,
                server_settings=self._settings,
            )

    async def stop(self) -> None:
        """Waits ``timeout_s`` for calls in flight, then cuts them off."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def ping(self) -> None:
        """Raises StorageUnavailable where Postgres does not answer."""
        async with self.connection() as connection:
            await connection.execute(sql.PING)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one call; raises StorageUnavailable or RecordRefused for whatever goes wrong inside."""
        assert self._pool is not None, "not started"
        with translated():
            async with asyncio.timeout(self._timeout_s), self._pool.acquire(timeout=self._timeout_s) as connection:
                yield connection


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
