"""What do Postgres, Redis, the providers, the disk and the workers say? For `herald doctor`; each asked for so long."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.doctor_kafka import CannotAsk
from pipeline.diagnosis import STRAYS_COUNTED
from pipeline.errors import StorageUnavailable
from pipeline.halting import HaltCause
from pipeline.retention import covered_until
from pipeline.symptoms import PartitionFacts, WorkerFacts
from storage import sql
from storage.partitions import TABLES, Partitions

CHANGESETS = Path(__file__).parents[1] / "storage" / "migrations" / "changesets"
CHANGESET = re.compile(r"^--changeset \w+:(\S+)", re.MULTILINE)

CIRCUIT, HALTED, STUCK = "herald_circuit_state", "herald_halted", "herald_stuck_seconds"


def known_changesets() -> list[str]:
    """Those of this version, in their order."""
    return [id for path in sorted(CHANGESETS.glob("*.sql")) for id in CHANGESET.findall(path.read_text("utf-8"))]


@asynccontextmanager
async def connected(dsn: str, timeout_s: float) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Raises CannotAsk for whatever goes wrong with Postgres, inside as well."""
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
        try:
            yield connection
        finally:
            connection.terminate()  # a server that hangs is not waited for again
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotAsk(f"{type(error).__name__}: {error}".removesuffix(": ")) from error


async def applied_changesets(dsn: str, timeout_s: float) -> Sequence[str]:
    """None of them where nothing has ever been migrated."""
    async with connected(dsn, timeout_s) as connection:
        try:
            return [row[0] for row in await connection.fetch(sql.APPLIED_CHANGESETS)]
        except asyncpg.UndefinedTableError:
            return []


async def unaccounted(dsn: str, timeout_s: float, since: datetime) -> tuple[int, float]:
    """How many notifications recorded since then have not ended, and for how many seconds the oldest has not."""
    async with connected(dsn, timeout_s) as connection:
        row = await connection.fetchrow(sql.UNACCOUNTED, since)
    return (row[0], row[1]) if row else (0, 0.0)


async def partitions(dsn: str, timeout_s: float, now: datetime) -> list[PartitionFacts]:
    """Of each table; raises CannotAsk also where a table is not partitioned yet."""
    async with connected(dsn, timeout_s) as connection:
        there = Partitions(connection)
        try:
            return [
                PartitionFacts(
                    table.name,
                    (covered_until(await there.spans(table), now) - now).total_seconds(),
                    await there.strays(table, STRAYS_COUNTED + 1),
                )
                for table in TABLES
            ]
        except StorageUnavailable as error:
            raise CannotAsk(str(error)) from error


async def ping_redis(url: str, timeout_s: float) -> None:
    """Raises CannotAsk."""
    try:
        async with Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as redis:
            await redis.ping()
    except (RedisError, OSError, ValueError, TimeoutError) as error:
        raise CannotAsk(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "localhost", parts.port or (443 if parts.scheme == "https" else 80))


async def reach(address: Address, timeout_s: float) -> None:
    """Connect and say nothing. Raises CannotAsk."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
    except TimeoutError as error:
        raise CannotAsk(f"no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise CannotAsk(error.strerror or str(error)) from error


def disks(folders: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Where each folder is, or will be: free and all bytes, once for each disk. Raises CannotAsk."""
    found: dict[int, tuple[str, int, int]] = {}
    try:
        for folder in folders:
            path = folder.absolute()
            there = next(one for one in (path, *path.parents) if one.exists())
            usage = shutil.disk_usage(there)
            found.setdefault(there.stat().st_dev, (str(path), usage.free, usage.total))
    except OSError as error:
        raise CannotAsk(str(error)) from error
    return list(found.values())


async def ask_worker(name: str, url: str, timeout_s: float) -> WorkerFacts:
    """``url`` is where it serves its health and metrics. Raises CannotAsk."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    with _translated():
        async with aiohttp.ClientSession(url.rstrip("/") + "/", timeout=timeout) as session:
            async with session.get("metrics") as answer:
                answer.raise_for_status()
                text = await answer.text()
            # Asked last: one that halts in between would be halted, and starting.
            async with session.get("health/ready") as answer:
                problems = (await answer.json(content_type=None))["problems"]
        return worker_facts(name, [f"{one['check']}: {one['detail']}" for one in problems], text)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise CannotAsk("does not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise CannotAsk(str(error) or type(error).__name__) from error
    except (ValueError, LookupError, TypeError) as error:
        raise CannotAsk(f"is no worker of ours: {error!r}") from error


def worker_facts(name: str, unready: Sequence[str], metrics: str) -> WorkerFacts:
    """From what ``/metrics`` says; a gauge that a role does not have is 0. Raises ValueError for what is no metrics."""
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    return WorkerFacts(
        name=name,
        unready=tuple(unready),
        circuits={
            (one.labels.get("channel", ""), one.labels.get("provider", "")): int(one.value)
            for one in samples
            if one.name == CIRCUIT
        },
        halted=[HaltCause(one.labels["cause"]) for one in samples if one.name == HALTED and one.value > 0],
        stuck_s=max((one.value for one in samples if one.name == STUCK), default=0.0),
    )
