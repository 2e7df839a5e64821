"""A worker that comes back within its session reads what it is to read now, not what it read before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

import topics
from cli.local import settings_of
from cli.topics import create_topics
from settings import Role
from stack import Endpoints, ServerName, Stack
from tests.integration.streaming.role_worker import settled, worker

pytestmark = pytest.mark.timeout(180)

ASK_TIMEOUT_S = 3.0
TIMEOUT_S = 15.0
PARTITIONS = 2


@pytest.fixture(scope="module")
def endpoints(stack_endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A Kafka of its own: the groups of the roles are there once on each."""
    others = {ServerName.POSTGRES: stack_endpoints.postgres, ServerName.REDIS: stack_endpoints.redis}
    with Stack(tmp_path_factory.mktemp("kafka"), given=others).running() as endpoints:
        yield endpoints


def environment(endpoints: Endpoints, tiers: str) -> dict[str, str]:
    return {
        **endpoints.environment(),
        "HERALD_INSTANCE_ID": "one",
        "HERALD_PARTITIONS": str(PARTITIONS),
        "HERALD_RETRY_TIERS_S": tiers,
        # As long as Kafka lets a session be at least: it waits so long for who does not come back.
        "HERALD_SESSION_TIMEOUT_S": "6",
    }


def read(endpoints: Endpoints, role: Role) -> set[str]:
    """The topics of which somebody has all partitions."""
    admin = AdminClient({"bootstrap.servers": endpoints.kafka, "log_level": 0})
    group = topics.group(role)
    members = admin.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S)[group].result(TIMEOUT_S).members
    parts = [tp.topic for one in members for tp in one.assignment.topic_partitions]
    return {topic for topic in parts if parts.count(topic) == PARTITIONS}


def comes(endpoints: Endpoints, role: Role, tiers: str, folder: Path, *, to_read: set[str]) -> None:
    given = environment(endpoints, tiers)
    create_topics(settings_of(given))
    with worker(given, role, folder):
        settled(lambda: read(endpoints, role) == to_read, f"{role} to read {sorted(to_read)}")


@pytest.mark.parametrize("role", [Role.RETRY, Role.SINK])
def test_a_new_tier_is_read_by_who_comes_back(endpoints: Endpoints, role: Role, tmp_path: Path) -> None:
    others = {topics.OUTCOMES, topics.LEDGER} if role is Role.SINK else set()
    first, second = topics.retry(30.0), topics.retry(120.0)
    comes(endpoints, role, "30", tmp_path, to_read={first} | others)
    comes(endpoints, role, "30,120", tmp_path, to_read={first, second} | others)
