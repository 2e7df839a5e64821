"""One running pipeline for the tests of what hurts workers: real servers behind proxies, a worker of each role."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cli.local import settings_of
from cli.topics import create_topics
from settings import Role
from simulators.faults import Faults
from simulators.launch import Kind
from tests.chaos.servers import Servers
from tests.chaos.workers import Workers
from tests.integration.chaos.traffic import Traffic

SETTINGS = {
    "HERALD_API_KEYS": secrets.token_hex(32),
    "HERALD_LOG_FORMAT": "json",
    "HERALD_PARTITIONS": "2",
    "HERALD_RETRY_TIERS_S": "1,2,4",
    "HERALD_COMMIT_INTERVAL_S": "0.2",
    "HERALD_SESSION_TIMEOUT_S": "6",
    "HERALD_PROVIDER_TIMEOUT_S": "3",
    "HERALD_START_TIMEOUT_S": "10",
}
READY_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Pipeline:
    servers: Servers
    workers: Workers
    traffic: Traffic


@pytest.fixture(scope="module")
def _pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        environment = {**servers.environment(), **SETTINGS}
        create_topics(settings_of({**environment, **servers.direct.environment()}))
        workers = Workers(Role, environment=environment, folder=tmp_path_factory.mktemp("workers"))
        try:
            workers.start()
            workers.wait_until_ready(READY_TIMEOUT_S)
            # Something is always under way, and something always waits for another attempt.
            servers.simulators[Kind.SMS].set_faults(Faults(latency_ms=50, fail_first=1))
            traffic = Traffic(servers.direct)
            with traffic.flowing():
                yield Pipeline(servers, workers, traffic)
            assert traffic.unaccounted(within_s=60) == set(), "told to nobody after all that"
        finally:
            killed = workers.stop()
        assert killed == [], "some did not end when asked"


@pytest.fixture
def pipeline(_pipeline: Pipeline) -> Iterator[Pipeline]:
    """Under traffic. A worker that the test before has hurt may still be on its way back."""
    yield _pipeline
    for name in _pipeline.workers.workers:
        _pipeline.workers.disarm(name)


@pytest.fixture
def workers(pipeline: Pipeline) -> Workers:
    return pipeline.workers
