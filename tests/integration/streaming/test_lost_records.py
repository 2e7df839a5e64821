"""Kafka has lost records: a worker says so and halts, and one that is started again goes on from where people say.

A broker of its own, which is killed and loses the log of a partition, as one does with its disk.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import topics
from cli.doctor_kafka import KafkaProbe
from cli.local import settings_of
from cli.topics import create_topics
from pipeline.claims import ClaimRow
from pipeline.halting import HaltCause
from pipeline.notifications import Channel, Lane
from pipeline.symptoms import LostFacts
from settings import Role, Settings
from stack import Endpoints, ServerName, Stack
from tests.chaos import kafka_reader
from tests.e2e.cargo import Shipment
from tests.integration.streaming.role_worker import TIMEOUT_S, settled, worker

pytestmark = pytest.mark.timeout(240)

SUBSCRIPTION_ROWS = topics.changelog("herald-enrich", "subscriptions")


@dataclass(frozen=True)
class Broker:
    """With one partition of every topic."""

    stack: Stack
    home: Path
    kafka: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HERALD_KAFKA": self.kafka,
            "HERALD_PARTITIONS": "1",
            "HERALD_RETRY_TIERS_S": "1",
            "HERALD_COMMIT_INTERVAL_S": "0.2",
            "HERALD_SESSION_TIMEOUT_S": "3",
        }

    @property
    def settings(self) -> Settings:
        return settings_of(self.environment)

    def publish(self, topic: str, count: int, key: bytes = b"shipment", value: bytes = b"{}") -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for _ in range(count):
            producer.produce(topic, value, key)
        assert producer.flush(TIMEOUT_S) == 0

    def end(self, topic: str) -> int:
        return kafka_reader.ends(self.kafka, [topic])[topic, 0]

    def committed(self, group: str, topic: str) -> int:
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": group, "log_level": 0})
        try:
            (found,) = consumer.committed([TopicPartition(topic, 0)], TIMEOUT_S)
        finally:
            consumer.close()
        return max(0, found.offset)

    def commit(self, group: str, topic: str, offset: int) -> None:
        """As ``kafka-consumer-groups --reset-offsets`` does it: once the group has no member any more."""
        admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 0})
        wanted = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, offset)])]

        def done() -> bool:
            altered = admin.alter_consumer_group_offsets(wanted)[group].result(TIMEOUT_S)
            return all(one.error is None for one in altered.topic_partitions)

        settled(done, f"an offset for {group}")

    def lose(self, topic: str) -> None:
        """The broker is killed, and comes back without what it had of the topic."""
        self.stack.kill(ServerName.KAFKA)
        (folder,) = self.home.rglob(f"{topic}-0")
        shutil.rmtree(folder)
        self.stack.restart(ServerName.KAFKA)
        settled(lambda: self.end(topic) == 0, f"{topic} is empty")

    def lost(self) -> list[LostFacts]:
        return KafkaProbe(self.kafka, TIMEOUT_S).lost(topics.read_by(self.settings.retry_tiers_s))


@pytest.fixture(scope="module")
def broker(stack_endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    home = tmp_path_factory.mktemp("broker")
    others = {ServerName.POSTGRES: stack_endpoints.postgres, ServerName.REDIS: stack_endpoints.redis}
    stack = Stack(home, given=others)
    with stack.running() as endpoints:
        broker = Broker(stack, home, endpoints.kafka)
        create_topics(broker.settings)
        yield broker


def test_a_worker_whose_topic_loses_its_records_halts_and_goes_on_from_where_it_is_told(
    broker: Broker, tmp_path: Path
) -> None:
    group, topic = "herald-enrich", topics.STATUS
    with worker(broker.environment, Role.ENRICH, tmp_path) as running:
        broker.publish(topic, 3)
        settled(lambda: broker.committed(group, topic) == 3, "three events are done")
        broker.lose(topic)
        facts = running.halted()
        assert facts.halted == [HaltCause.RECORDS_LOST]
        assert f"halted: Kafka has lost records: {topic}-0 ends at 0, {group} has got to 3" in facts.unready[0]
        letters = broker.end(topics.DLQ)
        broker.publish(topic, 1)
        assert broker.lost() == [LostFacts(group, topic, 0, committed=3, end=1)]
        broker.publish(topic, 5)
        assert running.halted() == facts, "also when the log has grown past where it was"
    assert (broker.committed(group, topic), broker.end(topics.DLQ)) == (3, letters)

    broker.commit(group, topic, 0)
    assert broker.lost() == []
    with worker(broker.environment, Role.ENRICH, tmp_path):
        settled(lambda: broker.committed(group, topic) == 6, "the new events are done")
    assert broker.end(topics.DLQ) == letters + 6


def test_the_retry_role_returns_nothing_again(broker: Broker, tmp_path: Path) -> None:
    (tier_s,) = broker.settings.retry_tiers_s
    group, topic = "herald-retry", topics.retry(tier_s)
    broker.publish(topic, 2)
    broker.commit(group, topic, 5)
    letters = broker.end(topics.DLQ)
    with worker(broker.environment, Role.RETRY, tmp_path) as running:
        assert f"{topic}-0 ends at 2, {group} has got to 5" in running.halted().unready[0]
        broker.publish(topic, 4)
        assert running.halted().halted == [HaltCause.RECORDS_LOST], "also when the log has grown past where it was"
    assert (broker.committed(group, topic), broker.end(topics.DLQ)) == (5, letters)

    broker.commit(group, topic, 1)
    with worker(broker.environment, Role.RETRY, tmp_path):
        settled(lambda: broker.committed(group, topic) == 6, "the new records are returned")
    assert broker.end(topics.DLQ) == letters + 5


def test_what_a_lane_has_done_beyond_its_end_is_no_reason_to_pass_over_what_comes_new(
    broker: Broker, tmp_path: Path
) -> None:
    """Nothing was committed, so the committed offset is as good as any."""
    lane = topics.lane(Channel.SMS, Lane.BULK)
    row = msgspec.json.encode(ClaimRow(done=[(0, 4)]))
    broker.publish(topics.changelog("herald-send-sms", "claims"), 1, f"{lane}-0/owner".encode(), row)
    with worker(broker.environment, Role.SEND_SMS, tmp_path) as running:
        assert f"{lane}-0 ends at 0, herald-send-sms has got to 5" in running.halted().unready[0]


def test_a_table_whose_changelog_loses_its_rows_is_made_anew(broker: Broker, tmp_path: Path) -> None:
    shipment = Shipment()
    with worker(broker.environment, Role.ENRICH, tmp_path):
        broker.publish(topics.SUBSCRIPTIONS, 2, shipment.key, shipment.subscription())
        settled(lambda: broker.end(SUBSCRIPTION_ROWS) == 2, "rows of the table")
    broker.lose(SUBSCRIPTION_ROWS)
    with worker(broker.environment, Role.ENRICH, tmp_path) as running:
        assert "tables are ahead of their changelogs" in running.last_words()
    with worker(broker.environment, Role.ENRICH, tmp_path):
        broker.publish(topics.SUBSCRIPTIONS, 1, shipment.key, shipment.subscription())
        settled(lambda: broker.end(SUBSCRIPTION_ROWS) == 1, "a row of the new table")


def test_a_worker_whose_table_is_ahead_of_its_changelog_ends_with_the_next_row(broker: Broker, tmp_path: Path) -> None:
    shipment, table = Shipment(), f"{SUBSCRIPTION_ROWS}-0"
    with worker(broker.environment, Role.ENRICH, tmp_path) as running:
        before = broker.end(SUBSCRIPTION_ROWS)
        broker.publish(topics.SUBSCRIPTIONS, 2, shipment.key, shipment.subscription())
        settled(lambda: broker.end(SUBSCRIPTION_ROWS) == before + 2, "rows of the table")
        # Rows that the broker has, and the worker has not heard of, it would write again.
        read = broker.end(topics.SUBSCRIPTIONS)
        settled(lambda: broker.committed("herald-enrich", topics.SUBSCRIPTIONS) == read, "the worker knows of them")
        broker.lose(SUBSCRIPTION_ROWS)
        broker.publish(topics.SUBSCRIPTIONS, 1, shipment.key, shipment.subscription())
        assert f"{table} went back to 0, subscriptions had got to {before + 1}" in running.last_words()
    with worker(broker.environment, Role.ENRICH, tmp_path):
        settled(lambda: broker.end(SUBSCRIPTION_ROWS) == 2, "the row again")
