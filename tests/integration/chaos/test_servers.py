"""Three brokers, Postgres and Valkey behind proxies: what each loses when it is hurt, and who notices."""

import secrets
from collections.abc import Iterator

import pytest
import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from confluent_kafka.cimpl import NewTopic

from simulators.launch import Kind
from stack.postgres import execute
from tests.chaos.cluster import route
from tests.chaos.modes import PASS, REFUSE
from tests.chaos.servers import POSTGRES, REDIS, Servers

# Three brokers start, on a machine that may have other things to do.
pytestmark = pytest.mark.timeout(240)

TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers"), brokers=3) as servers:
        yield servers
    running = [servers.kafka.is_running(id) for id in servers.kafka.ids]
    assert not any([*running, servers.postgres.is_running, servers.redis.is_running])


@pytest.fixture
def topic(servers: Servers) -> str:
    """One partition, led by broker 1, with the cluster's defaults."""
    name = f"chaos.{secrets.token_hex(6)}"
    admin = AdminClient({"bootstrap.servers": servers.direct.kafka})
    admin.create_topics([NewTopic(name, num_partitions=1, replica_assignment=[[1, 2, 3]])])[name].result(TIMEOUT_S)
    return name


def produce(kafka: str, topic: str, value: bytes) -> None:
    """Acknowledged by all that are in sync. Raises KafkaException."""
    failures: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "acks": "all",
            "delivery.timeout.ms": int(TIMEOUT_S * 1000),
            "log_level": 0,
            "topic.metadata.propagation.max.ms": 5_000,
        }
    )
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(TIMEOUT_S) == 0
    if failures:
        raise KafkaException(failures[0])


def read(kafka: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "test", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages: list[Message] = consumer.consume(count, timeout=TIMEOUT_S)
        return [message.value() for message in messages]
    finally:
        consumer.close()


def test_an_acknowledged_record_survives_its_leader(servers: Servers, topic: str) -> None:
    produce(servers.direct.kafka, topic, b"before")
    servers.kafka.kill(1)
    try:
        assert not servers.kafka.is_running(1)
        produce(servers.direct.kafka, topic, b"while it is away")
    finally:
        servers.kafka.start(1)
    assert read(servers.direct.kafka, topic, 2) == [b"before", b"while it is away"]


def test_a_broker_that_is_asked_to_end_is_back_in_sync_after_its_start(servers: Servers, topic: str) -> None:
    servers.kafka.stop(1)
    produce(servers.direct.kafka, topic, b"without it")
    servers.kafka.start(1)
    admin = AdminClient({"bootstrap.servers": servers.direct.kafka})
    assert sorted(admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions[0].isrs) == [1, 2, 3]


def test_two_replicas_must_be_in_sync(servers: Servers, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers.direct.kafka})
    described = admin.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions[0]
    assert sorted(described.replicas) == [1, 2, 3]
    assert min_in_sync(admin, topic) == "2"


def min_in_sync(admin: AdminClient, topic: str) -> str:
    (described,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    return str(described.result(TIMEOUT_S)["min.insync.replicas"].value)


def test_workers_reach_every_broker_through_its_proxy_alone(servers: Servers, topic: str) -> None:
    metadata = AdminClient({"bootstrap.servers": servers.proxied.kafka}).list_topics(timeout=TIMEOUT_S)
    assert {id: broker.port for id, broker in metadata.brokers.items()} == {
        id: servers.proxies.ports[route(id)] for id in servers.kafka.ids
    }
    produce(servers.proxied.kafka, topic, b"through the proxy")
    servers.proxies.set(route(1), REFUSE)
    try:
        produce(servers.direct.kafka, topic, b"beside it")
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": servers.proxies.address(route(1)), "log_level": 0}).list_topics(timeout=1)
    finally:
        servers.proxies.set(route(1), PASS)
    assert read(servers.proxied.kafka, topic, 2) == [b"through the proxy", b"beside it"]


def test_postgres_keeps_rows_and_valkey_does_not(servers: Servers) -> None:
    execute(servers.proxied.postgres, "CREATE TABLE kept AS SELECT 1 AS id")
    with redis.Redis.from_url(servers.proxied.redis) as client:
        client.set("cached", "1")
        for server in (servers.postgres, servers.redis):
            server.restart()
        execute(servers.proxied.postgres, "SELECT id FROM kept", "DROP TABLE kept")
        assert client.dbsize() == 0


@pytest.mark.parametrize("name", [POSTGRES, REDIS])
def test_the_harness_goes_beside_the_proxies(servers: Servers, name: str) -> None:
    servers.proxies.set(name, REFUSE)
    try:
        execute(servers.direct.postgres, "SELECT 1")
        with redis.Redis.from_url(servers.direct.redis) as client:
            assert client.ping()
    finally:
        servers.proxies.set(name, PASS)


def test_workers_are_told_of_the_proxies(servers: Servers) -> None:
    environment = servers.environment()
    ports = servers.proxies.ports
    assert environment["HERALD_REPLICATION_FACTOR"] == "3"
    assert f":{ports['sms']}/" in environment["HERALD_SMS_URL"]
    assert environment["HERALD_SMTP_PORT"] == str(ports["smtp"])
    assert environment["HERALD_FCM_URL"].endswith(f":{ports['fcm']}")
    assert str(ports["fcm"]) in servers.simulators[Kind.FCM].credentials_path.read_text()
