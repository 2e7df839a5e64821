"""`herald doctor` asks real servers: what waits and for how long, which topics fit, what the schema lacks."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import topics
from cli.doctor import doctor
from cli.doctor_kafka import CannotAsk, KafkaProbe
from cli.doctor_probes import Address, applied_changesets, known_changesets, ping_redis, reach, unaccounted
from cli.doctor_probes import partitions as found
from cli.topics import create_topics
from pipeline.diagnosis import ACCOUNT_DAYS
from pipeline.retention import AHEAD
from pipeline.symptoms import LostFacts, TopicFacts
from settings import Settings
from stack import Endpoints, Stack
from stack.endpoints import ServerName
from stack.postgres import execute
from tests.fakes import until
from topics import Topic

TIMEOUT_S = 15.0
STRAY = """
INSERT INTO notification_outcome (
    notification_id, first_seen_at, event_id, shipment_id, channel, recipient, status, attempts, template,
    template_version, locale, lane, created_at, finished_at
) VALUES (
    gen_random_uuid(), '2999-01-01 00:00:00+00', 'e', 's', 'sms', 'r', 'sent', 1, 't', 1, 'en', 'bulk', now(), now()
)
"""
HOUR_MS = 3_600_000
LATELY = datetime.now(UTC) - timedelta(days=ACCOUNT_DAYS)
COORDINATING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@dataclass(frozen=True)
class Held:
    """A topic of two partitions, and a group that has read some of it."""

    kafka: str
    topic: str
    group: str

    def produce(self, count: int, *, age_ms: int, partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        now_ms = int(time.time() * 1000)
        for _ in range(count):
            producer.produce(self.topic, b"x", partition=partition, timestamp=now_ms - age_ms)
        assert producer.flush(TIMEOUT_S) == 0

    def commit(self, offset: int, *, partition: int = 0) -> None:
        """The first commit of a broker makes it the coordinator, which may take it a moment."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": self.group, "enable.auto.commit": False})
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while True:
                try:
                    consumer.commit(offsets=[TopicPartition(self.topic, partition, offset)], asynchronous=False)
                    return
                except KafkaException as error:
                    assert error.args[0].code() in COORDINATING, error
                    assert time.monotonic() < deadline, error
        finally:
            consumer.close()

    def probe(self) -> KafkaProbe:
        return KafkaProbe(self.kafka, TIMEOUT_S)


@pytest.fixture
def held(kafka: str) -> Held:
    topic = f"doctor-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics([NewTopic(topic, 2, 1)], operation_timeout=TIMEOUT_S)
    made[topic].result(TIMEOUT_S)
    return Held(kafka, topic, f"group-of-{topic}")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_lag_is_what_is_not_committed_and_as_old_as_its_oldest_record(held: Held) -> None:
    held.produce(3, age_ms=2 * HOUR_MS)
    held.produce(2, age_ms=HOUR_MS)
    held.produce(1, age_ms=0, partition=1)
    held.commit(3)
    (lag,) = held.probe().lags(held.group, [held.topic, "no-such-topic"], [held.topic], now_ms())
    assert (lag.topic, lag.records, lag.urgent) == (held.topic, 3, True)
    assert lag.oldest_s == pytest.approx(3_600, abs=30)


def test_a_group_that_has_never_committed_lags_by_all_there_is(held: Held) -> None:
    held.produce(4, age_ms=HOUR_MS)
    (lag,) = held.probe().lags(held.group, [held.topic], [], now_ms())
    assert (lag.records, lag.urgent) == (4, False)


def test_a_broker_that_no_group_has_met_is_asked_all_the_same(stack_endpoints: Endpoints, tmp_path: Path) -> None:
    """The admin client ends the process there, for a coordinator that is on its way (librdkafka#5040)."""
    given = {ServerName.POSTGRES: stack_endpoints.postgres, ServerName.REDIS: stack_endpoints.redis}
    with Stack(tmp_path, given=given).running() as fresh:
        create_topics(Settings(kafka=fresh.kafka))
        probe = KafkaProbe(fresh.kafka, TIMEOUT_S)
        assert probe.lags("a-group", [topics.STATUS], [], now_ms()) == []
        assert probe.lost({"another": [topics.STATUS]}) == []


def test_what_was_deleted_before_it_was_read_is_no_lag(held: Held) -> None:
    held.produce(4, age_ms=0)
    admin = AdminClient({"bootstrap.servers": held.kafka})
    for deleted in admin.delete_records([TopicPartition(held.topic, 0, 4)]).values():
        deleted.result(TIMEOUT_S)
    assert held.probe().lags(held.group, [held.topic], [], now_ms()) == []


def test_offsets_without_records_are_no_lag(held: Held) -> None:
    """A transaction's marker takes an offset, and nobody is ever given it."""
    producer = Producer({"bootstrap.servers": held.kafka, "transactional.id": held.topic})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(held.topic, b"x", partition=0)
    producer.commit_transaction(TIMEOUT_S)
    held.commit(1)
    assert held.probe().lags(held.group, [held.topic], [], now_ms()) == []


def test_a_group_beyond_the_end_is_told_and_one_at_the_end_is_not(held: Held) -> None:
    held.produce(3, age_ms=0)
    held.commit(3)
    reads = {held.group: [held.topic, "no-such-topic"]}
    assert held.probe().lost(reads) == []
    held.commit(1, partition=1)
    assert held.probe().lost(reads) == [LostFacts(held.group, held.topic, 1, committed=1, end=0)]
    assert held.probe().lost({held.group: ["no-such-topic"]}) == []


def test_the_heads_of_tiers_come_whole(held: Held) -> None:
    held.produce(2, age_ms=HOUR_MS)
    held.produce(1, age_ms=0, partition=1)
    counts, heads = held.probe().waiting(held.group, {held.topic: "30s"})
    assert counts == {held.topic: 3}
    assert sorted(head.partition() for head in heads[held.topic]) == [0, 1]


def test_topics_are_there_with_their_partitions_or_not(held: Held) -> None:
    missing = Topic(name="no-such-topic", key="k")
    assert held.probe().topics([Topic(name=held.topic, key="k"), missing]) == [
        TopicFacts(held.topic, 2),
        TopicFacts("no-such-topic", 0),
    ]
    assert held.probe().topics([missing]) == [TopicFacts("no-such-topic", 0)]


async def test_settings_of_topics_are_as_wanted_or_can_be_put_right(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Topic(name=held.topic, key="k", config={"retention.ms": "900000000", "cleanup.policy": "delete"})
    (facts,) = held.probe().topics([wanted])
    assert facts.misfits == ("retention.ms is 604800000, not 900000000",)
    monkeypatch.setattr("cli.topics.names.all_topics", lambda *_: [wanted])
    (made,) = create_topics(Settings(kafka=held.kafka, partitions=2), alter=True)
    assert (made.altered, made.problem) == (True, None)
    await until(lambda: held.probe().topics([wanted])[0].misfits == (), TIMEOUT_S)


def test_a_group_has_its_members_while_they_are_there(held: Held) -> None:
    (group,) = held.probe().groups({held.group: "sink"}, ())
    assert (group.role, group.members, group.state, group.needed) == ("sink", 0, "dead", True)
    consumer = Consumer({"bootstrap.servers": held.kafka, "group.id": held.group})
    assigned: list[TopicPartition] = []
    consumer.subscribe([held.topic], on_assign=lambda _, partitions: assigned.extend(partitions))
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not assigned:
            assert time.monotonic() < deadline, "never assigned"
            consumer.poll(0.1)
        (group,) = held.probe().groups({held.group: "sink"}, ["sink"])
        assert (group.members, group.state, group.needed) == (1, "stable", False)
    finally:
        consumer.close()


@pytest.mark.parametrize("what", ["brokers", "topics", "groups", "lags"])
def test_without_a_broker_each_question_ends_in_time(what: str) -> None:
    probe = KafkaProbe("127.0.0.1:1", 1.0)
    ask = {
        "brokers": probe.brokers,
        "topics": lambda: probe.topics(["t"]),
        "groups": lambda: probe.groups({"g": "sink"}, ()),
        "lags": lambda: probe.lags("g", ["t"], [], 0),
    }[what]
    began = time.monotonic()
    with pytest.raises(CannotAsk, match=r"Kafka at 127\.0\.0\.1:1"):
        ask()
    assert time.monotonic() - began < 5


async def test_the_schema_is_known_by_its_changesets(database: str, empty_database: str) -> None:
    assert list(await applied_changesets(database, TIMEOUT_S)) == known_changesets()
    assert await applied_changesets(empty_database, TIMEOUT_S) == []


async def test_the_account_is_as_old_as_its_oldest(database: str) -> None:
    assert await unaccounted(database, TIMEOUT_S, LATELY) == (0, 0.0)
    connection = await asyncpg.connect(database, timeout=TIMEOUT_S)
    try:
        for offset, hours in enumerate((1, 3)):
            await connection.execute(
                """
                INSERT INTO event_ledger (
                    source_topic, source_partition, source_offset, source_index, event_id, shipment_id, status,
                    disposition, reason, notifications, notification_ids, recorded_at, first_seen_at
                ) VALUES (
                    'cargo.status.v1', 0, $1, 0, 'e-1', 'EXB1', 'ARRI', 'accepted', NULL,
                    jsonb_build_array(jsonb_build_object('id', $2::uuid, 'channel', 'sms', 'recipient', 'anna')),
                    ARRAY[$2::uuid], now() - make_interval(hours => $3),
                    now() - make_interval(hours => $3)
                )
                """,
                offset,
                uuid.uuid4(),
                hours,
            )
    finally:
        await connection.close()
    count, oldest_s = await unaccounted(database, TIMEOUT_S, LATELY)
    assert (count, oldest_s) == (2, pytest.approx(3 * 3_600, abs=30))


async def test_partitions_are_those_that_rows_will_find(database: str, empty_database: str) -> None:
    now = datetime.now(UTC)
    assert all(one.ahead_s >= AHEAD.total_seconds() and not one.strays for one in await found(database, TIMEOUT_S, now))
    assert {one.ahead_s for one in await found(database, TIMEOUT_S, now + 3 * AHEAD)} == {0.0}
    await asyncio.to_thread(execute, database, STRAY)
    assert [(one.table, one.strays) for one in await found(database, TIMEOUT_S, now)] == [
        ("event_ledger", 0),
        ("notification_outcome", 1),
    ]
    with pytest.raises(CannotAsk, match="event_ledger"):
        await found(empty_database, TIMEOUT_S, now)


async def test_what_is_not_there_is_said(redis_url: str) -> None:
    await ping_redis(redis_url, TIMEOUT_S)
    for ask in (
        ping_redis("redis://127.0.0.1:1/0", 1.0),
        reach(Address("127.0.0.1", 1), 1.0),
        unaccounted("postgresql://u:secret@127.0.0.1:1/x", 1.0, LATELY),
    ):
        with pytest.raises(CannotAsk) as refused:
            await ask
        assert "secret" not in str(refused.value)


def run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", **environment}).invoke(doctor, list(arguments))


@pytest.fixture
def fresh(kafka: str, empty_database: str, redis_db: str) -> Iterator[dict[str, str]]:
    """Servers with nothing of ours on them, and no provider."""
    yield {
        "HERALD_KAFKA": kafka,
        "HERALD_POSTGRES": empty_database,
        "HERALD_REDIS": redis_db,
        "HERALD_RETRY_TIERS_S": "77777",
        "HERALD_SMS_URL": "http://127.0.0.1:1/",
        "HERALD_SMTP_PORT": "1",
        "HERALD_FCM_URL": "http://127.0.0.1:1/",
    }


def test_what_was_never_set_up_is_told_with_what_to_do(fresh: dict[str, str]) -> None:
    result = run(fresh, "--json", "--worker", "http://127.0.0.1:1")
    assert result.exit_code == 1, result.output
    found = json.loads(result.stdout)
    by_check = {one["check"]: one for one in found["findings"]}
    assert found["healthy"] is False
    (missing,) = [one for one in found["findings"] if one["what"].startswith("missing: ")]
    assert "herald.retry.77777s.v1" in missing["what"]
    assert missing["advice"] == "herald topics create"
    assert by_check["schema"]["advice"] == "herald migrate"
    assert [by_check[name]["level"] for name in ("Kafka", "Redis", "mail server", "FCM", "127.0.0.1:1")] == [
        *("ok", "ok", "warning", "warning", "wrong")
    ]
    assert found["findings"][0]["level"] == "wrong", "the worst first"


def test_a_worker_is_an_address_of_http(fresh: dict[str, str]) -> None:
    assert run(fresh, "--worker", "127.0.0.1:8080").exit_code == 2


def test_without_workers_to_ask_halts_are_not_known(
    fresh: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {one["check"]: one for one in json.loads(run(fresh, "--json").stdout)["findings"]}
    assert (found["workers"]["level"], found["workers"]["what"]) == (
        "warning",
        "none was asked: whether one has halted is not known",
    )
