"""The session's own stack: what its servers are, and what survives their death."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack import Endpoints, ServerName, Stack, StackError
from stack.liquibase import Liquibase

SIXTEEN_MIB = 16 * 1024 * 1024

CHANGESETS = """--liquibase formatted sql
--changeset herald:one
CREATE TABLE one (id int PRIMARY KEY);
--rollback DROP TABLE one;
--changeset herald:two
CREATE TABLE two (id int PRIMARY KEY);
--rollback DROP TABLE two;
"""


@pytest.fixture
def own(stack: Stack, stack_endpoints: Endpoints) -> Stack:
    if any(one.pid is None for one in stack.status()):
        pytest.skip("servers that were given are not ours to kill")
    return stack


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"stack.{secrets.token_hex(6)}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])[name].result(30)
    return name


def test_every_server_answers(stack: Stack, stack_endpoints: Endpoints) -> None:
    assert [(one.server, one.problem) for one in stack.status()] == [(name, None) for name in ServerName]


def test_kafka_takes_large_records(kafka: str, topic: str) -> None:
    value = b"x" * (SIXTEEN_MIB - 1024)

    produce(kafka, topic, value)

    assert consume_one(kafka, topic) == value


def test_kafka_makes_no_topic_by_itself(kafka: str) -> None:
    with pytest.raises(KafkaException, match="UNKNOWN_TOPIC_OR_PART"):
        produce(kafka, "stack.never-created", b"value")


def test_kafka_keeps_records_when_it_is_killed(own: Stack, kafka: str, topic: str) -> None:
    produce(kafka, topic, b"before")

    own.kill(ServerName.KAFKA)
    assert status(own, ServerName.KAFKA) == "does not run"
    own.restart(ServerName.KAFKA)

    assert consume_one(kafka, topic) == b"before"


def test_postgres_keeps_rows_when_it_is_killed(own: Stack, empty_database: str) -> None:
    query(empty_database, "CREATE TABLE kept AS SELECT 1 AS id")

    own.kill(ServerName.POSTGRES)
    own.restart(ServerName.POSTGRES)

    assert query(empty_database, "SELECT id FROM kept") == [1]


def test_redis_comes_back_empty(own: Stack, redis_db: str) -> None:
    with redis.Redis.from_url(redis_db) as client:
        client.set("cached", "1")

        own.kill(ServerName.REDIS)
        own.restart(ServerName.REDIS)

        assert client.dbsize() == 0


def test_a_restart_of_what_runs_changes_nothing(own: Stack) -> None:
    before = [one.pid for one in own.status()]

    for name in ServerName:
        own.restart(name)

    assert [one.pid for one in own.status()] == before


def test_postgres_does_not_run_as_root(own: Stack) -> None:
    pid = next(one.pid for one in own.status() if one.server is ServerName.POSTGRES)

    assert psutil.Process(pid).uids().effective != 0


def test_each_test_has_its_own_database(database: str, empty_database: str) -> None:
    query(database, "CREATE TABLE scratch (id int)")

    assert query(empty_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [0]


def test_liquibase_updates_rolls_back_and_updates_again(empty_database: str, tmp_path: Path) -> None:
    changelog(tmp_path, CHANGESETS)
    liquibase = Liquibase(empty_database, tmp_path)

    liquibase.update()
    assert tables(empty_database) == ["one", "two"]
    liquibase.rollback_all()
    assert tables(empty_database) == []
    liquibase.update()
    assert tables(empty_database) == ["one", "two"]


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda root: None, r"changelog\.yaml does not exist"),
        (lambda root: changelog(root, CHANGESETS.replace("int PRIMARY", "nonsense PRIMARY")), "nonsense"),
    ],
    ids=["no changelog", "wrong SQL"],
)
def test_liquibase_says_what_is_wrong(
    empty_database: str, tmp_path: Path, prepare: Callable[[Path], None], complaint: str
) -> None:
    prepare(tmp_path)

    with pytest.raises(StackError, match=complaint):
        Liquibase(empty_database, tmp_path).update()


def changelog(root: Path, changesets: str) -> None:
    (root / "changelog.yaml").write_text("databaseChangeLog:\n  - include: {file: changes.sql}\n")
    (root / "changes.sql").write_text(changesets)


def tables(dsn: str) -> list[object]:
    found = query(dsn, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    return [name for name in found if name not in ("databasechangelog", "databasechangeloglock")]


def status(stack: Stack, name: ServerName) -> str | None:
    return next(one.problem for one in stack.status() if one.server is name)


def produce(kafka: str, topic: str, value: bytes) -> None:
    settings = {
        "bootstrap.servers": kafka,
        "acks": "all",
        "message.max.bytes": SIXTEEN_MIB,
        "topic.metadata.propagation.max.ms": 1000,
    }
    producer = Producer(settings)
    failures: list[KafkaError] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    if failures:
        raise KafkaException(failures[0])


def consume_one(kafka: str, topic: str) -> bytes:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"test-{secrets.token_hex(4)}",
            "auto.offset.reset": "earliest",
            "fetch.max.bytes": SIXTEEN_MIB,
            "receive.message.max.bytes": 2 * SIXTEEN_MIB,
        }
    )
    try:
        consumer.subscribe([topic])
        record = consumer.poll(30)
        assert record is not None
        assert record.error() is None
        value = record.value()
        assert isinstance(value, bytes)
        return value
    finally:
        consumer.close()


def query(dsn: str, statement: str) -> list[object]:
    async def run() -> list[object]:
        connection = await asyncpg.connect(dsn, timeout=10, command_timeout=10)
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close(timeout=10)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(run())
