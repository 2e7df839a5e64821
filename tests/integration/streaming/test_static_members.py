"""A worker that comes back within its session reads what it is to read now, not what it read before."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import topics
from cli.local import settings_of
from cli.topics import create_topics
from cli.worker import worker_command
from settings import Role
from stack import Endpoints, ServerName, Stack
from stack.ports import free_ports
from tests.e2e.world import eventually

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[3]
ASK_TIMEOUT_S = 3.0
TIMEOUT_S = 15.0
END_S = 60.0
PARTITIONS = 2


@pytest.fixture(scope="module")
def endpoints(stack_endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A Kafka of its own: the groups of the roles are there once on each."""
    others = {ServerName.POSTGRES: stack_endpoints.postgres, ServerName.REDIS: stack_endpoints.redis}
    with Stack(tmp_path_factory.mktemp("kafka"), given=others).running() as endpoints:
        yield endpoints


@contextmanager
def worker(endpoints: Endpoints, role: Role, tiers: str, folder: Path) -> Iterator[None]:
    (port,) = free_ports(1)
    environment = {
        **endpoints.environment(),
        "HERALD_ROLE": role.value,
        "HERALD_INSTANCE_ID": role.value,
        "HERALD_PARTITIONS": str(PARTITIONS),
        "HERALD_RETRY_TIERS_S": tiers,
        # As long as Kafka lets a session be at least: it waits so long for who does not come back.
        "HERALD_SESSION_TIMEOUT_S": "6",
        "HERALD_DATA_DIR": str(folder / "data"),
        "HERALD_HTTP_PORT": str(port),
    }
    create_topics(settings_of(environment))
    process = subprocess.Popen(worker_command(), env={**environment, "PYTHONPATH": str(ROOT)}, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        finally:
            process.kill()


def read(endpoints: Endpoints, role: Role) -> set[str]:
    """The topics of which somebody has all partitions."""
    admin = AdminClient({"bootstrap.servers": endpoints.kafka, "log_level": 0})
    group = topics.group(role)
    try:
        described = admin.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S)
        members = described[group].result(TIMEOUT_S).members
    except KafkaException:  # its coordinator takes its time to load
        return set()
    parts = [tp.topic for one in members for tp in one.assignment.topic_partitions]
    return {topic for topic in parts if parts.count(topic) == PARTITIONS}


@pytest.mark.parametrize("role", [Role.RETRY, Role.SINK])
def test_a_new_tier_is_read_by_who_comes_back(endpoints: Endpoints, role: Role, tmp_path: Path) -> None:
    others = {topics.OUTCOMES, topics.LEDGER} if role is Role.SINK else set()
    first, second = topics.retry(30.0), topics.retry(120.0)
    with worker(endpoints, role, "30", tmp_path):
        eventually(lambda: read(endpoints, role) == {first} | others, "the tier to be read")
    with worker(endpoints, role, "30,120", tmp_path):
        eventually(lambda: read(endpoints, role) == {first, second} | others, "both tiers to be read")
