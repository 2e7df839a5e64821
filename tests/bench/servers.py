"""On what do both sides run? One Kafka, PostgreSQL and Valkey for all runs; each run finds them as if new.

They are always our own, whatever the environment names: they are emptied.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from cli.stack import failures, prepare
from stack import Endpoints, ServerName, Stack
from stack.lockfile import alone
from stack.postgres import execute
from tests.bench.kafka import ASK_TIMEOUT_S, delete_topics

TEMPLATE = "herald_bench_template"
DATABASE = "herald_bench"


@dataclass(frozen=True, kw_only=True)
class Servers:
    endpoints: Endpoints
    pids: Mapping[str, int]
    kafka_data: Path

    @contextmanager
    def clean_slate(self) -> Iterator[Endpoints]:
        """A database of the run's own, an empty Redis, and afterwards no topic left."""
        execute(
            self.endpoints.postgres,
            f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)",
            f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}",
            "CHECKPOINT",
        )
        with redis.Redis.from_url(self.endpoints.redis, socket_timeout=ASK_TIMEOUT_S) as client:
            client.flushall()
        try:
            yield _with_database(self.endpoints, DATABASE)
        finally:
            delete_topics(self.endpoints.kafka)


@contextmanager
def bench_servers(home: Path, *, commit_times: bool = False) -> Iterator[Servers]:
    """Started, with the schema; stopped at the end, their data thrown away. ClickException if another runs.

    With ``commit_times`` PostgreSQL keeps when each row was committed.
    """
    stack = Stack(home)
    with failures(), alone(home.with_name("lock"), "another benchmark"):
        yield from _running(stack, home, commit_times=commit_times)


def _running(stack: Stack, home: Path, *, commit_times: bool) -> Iterator[Servers]:
    try:
        if commit_times:
            with stack.running() as endpoints:
                execute(endpoints.postgres, "ALTER SYSTEM SET track_commit_timestamp = on")
        with stack.running() as endpoints:
            execute(endpoints.postgres, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
            prepare(_with_database(endpoints, TEMPLATE))
            pids = {one.server.value: one.pid for one in stack.status() if one.pid is not None}
            yield Servers(endpoints=endpoints, pids=pids, kafka_data=home / ServerName.KAFKA / "data")
    finally:
        stack.down(wipe=True)


def _with_database(endpoints: Endpoints, name: str) -> Endpoints:
    postgres = urlsplit(endpoints.postgres)._replace(path=f"/{name}").geturl()
    return Endpoints(kafka=endpoints.kafka, postgres=postgres, redis=endpoints.redis)
