"""Servers for the tests: one throwaway stack a session, started by the first test that asks for it.

Tests that run side by side are in processes of their own, each with a stack: file by file, those of `tests/e2e` as one.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import hypothesis
import pytest
import redis
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from cli.retention import make_partitions
from cli.stack import MIGRATIONS, given_servers
from settings import Settings
from stack import Endpoints, Stack, ports
from stack.liquibase import ROOT_CHANGELOG, Liquibase
from stack.postgres import execute

# What one process has chosen and does not listen on yet, another would take for free.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    ports.CHOICE = ports.CHOICE[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]

# How long an example takes is up to the machine.
hypothesis.settings.register_profile("herald", deadline=None)
hypothesis.settings.load_profile("herald")

# These share a pipeline, which is started once.
TOGETHER = "tests/e2e/"


class SideBySide(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    return SideBySide(config, log)


@contextmanager
def _new_database(dsn: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    name = f"herald_test_{secrets.token_hex(6)}"
    execute(dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield name, urlsplit(dsn)._replace(path=f"/{name}").geturl()
    execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The session's stack, running or not: for tests that kill and restart its servers."""
    return Stack(tmp_path_factory.mktemp("stack"), given=given_servers(Settings()))


@pytest.fixture(scope="session")
def stack_endpoints(stack: Stack) -> Iterator[Endpoints]:
    with stack.running() as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def kafka(stack_endpoints: Endpoints) -> str:
    """Bootstrap servers. Topics are not cleared between tests: use names of your own."""
    return stack_endpoints.kafka


@pytest.fixture(scope="session")
def postgres_dsn(stack_endpoints: Endpoints) -> str:
    """The server's administrative database, with nothing of ours in it."""
    return stack_endpoints.postgres


@pytest.fixture(scope="session")
def redis_url(stack_endpoints: Endpoints) -> str:
    return stack_endpoints.redis


@pytest.fixture(scope="session")
def template_database(postgres_dsn: str) -> Iterator[str]:
    """A database migrated once, to be copied: a copy takes a tenth of the time that Liquibase does."""
    with _new_database(postgres_dsn) as (name, dsn):
        if (MIGRATIONS / ROOT_CHANGELOG).exists():
            Liquibase(dsn, MIGRATIONS).update()
            make_partitions(dsn)
        yield name


@pytest.fixture
def database(postgres_dsn: str, template_database: str) -> Iterator[str]:
    """The DSN of a fresh database with the whole schema, for one test."""
    with _new_database(postgres_dsn, template_database) as (_, dsn):
        yield dsn


@pytest.fixture
def empty_database(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a database without any schema."""
    with _new_database(postgres_dsn) as (_, dsn):
        yield dsn


@pytest.fixture
def redis_db(redis_url: str) -> Iterator[str]:
    """The URL of a logical database that was empty, and is again afterwards."""
    base = redis_url.rpartition("/")[0] if redis_url.count("/") > 2 else redis_url
    for number in range(1, 16):
        url = f"{base}/{number}"
        with redis.Redis.from_url(url, socket_timeout=10) as client:
            if client.dbsize() == 0:
                yield url
                client.flushdb()
                return
    pytest.fail("every logical database of the Redis server has keys in it")
