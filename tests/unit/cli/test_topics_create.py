"""`herald topics create`: makes what is missing, and says which of those that are there cannot serve."""

from collections.abc import Sequence
from concurrent.futures import Future

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    PartitionMetadata,
    TopicMetadata,
)

import topics as names
from cli import topics as module
from settings import Settings

PARTITIONS = 6
CONFIG = {one.name: one.config for one in names.all_topics(Settings().retry_tiers_s, Settings().seen_for_s)}
WANTED = list(CONFIG)


class Cluster:
    """Topics by their number of partitions; stands for the client that asks for them."""

    def __init__(self) -> None:
        self.there: dict[str, int] = {}
        self.made: list[NewTopic] = []
        self.refusal: KafkaException | None = None
        self.away = False
        # By topic, where it is not as it should be.
        self.settings: dict[str, dict[str, str]] = {}
        self.changes: dict[str, dict[str, str]] = {}

    def list_topics(self, timeout: float) -> ClusterMetadata:
        assert timeout <= 10
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        metadata = ClusterMetadata()
        metadata.topics = {name: _described(count) for name, count in self.there.items()}
        return metadata

    def create_topics(self, new: Sequence[NewTopic], operation_timeout: float) -> dict[str, "Future[None]"]:
        self.made += new
        return {one.topic: self._answer() for one in new}

    def describe_configs(
        self, resources: Sequence[ConfigResource], request_timeout: float
    ) -> "dict[ConfigResource, Future[dict[str, ConfigEntry]]]":
        return {one: _told(CONFIG[one.name] | self.settings.get(one.name, {})) for one in resources}

    def incremental_alter_configs(
        self, resources: Sequence[ConfigResource], request_timeout: float
    ) -> "dict[ConfigResource, Future[None]]":
        for one in resources:
            self.changes[one.name] = {entry.name: entry.value for entry in one.incremental_configs}
        return {one: self._answer() for one in resources}

    def _answer(self) -> "Future[None]":
        answer: Future[None] = Future()
        if self.refusal:
            answer.set_exception(self.refusal)
        else:
            answer.set_result(None)
        return answer


def _told(settings: dict[str, str]) -> "Future[dict[str, ConfigEntry]]":
    answer: Future[dict[str, ConfigEntry]] = Future()
    answer.set_result({name: ConfigEntry(name, value) for name, value in settings.items()})
    return answer


def _described(partitions: int) -> TopicMetadata:
    metadata = TopicMetadata()
    metadata.partitions = {number: PartitionMetadata() for number in range(partitions)}
    return metadata


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(module, "AdminClient", lambda settings: cluster)
    return cluster


def create(*options: str) -> Result:
    environment = {"HERALD_PARTITIONS": str(PARTITIONS), "HERALD_REPLICATION_FACTOR": "3", "COLUMNS": "200"}
    return CliRunner(env=environment).invoke(module.topics, ["create", *options])


def lines(result: Result) -> dict[str, str]:
    """What is said of each topic."""
    told = (line.strip("│ ").split() for line in result.output.splitlines() if line.startswith("│"))
    return {name: " ".join(said) for name, *said in told}


def test_what_is_missing_is_made_with_its_partitions_and_its_settings(cluster: Cluster) -> None:
    result = create()
    assert result.exit_code == 0, result.output
    assert [one.topic for one in cluster.made] == WANTED
    assert {(one.num_partitions, one.replication_factor) for one in cluster.made} == {(PARTITIONS, 3)}
    config = {one.topic: one.config for one in cluster.made}
    assert config[names.SUBSCRIPTIONS]["cleanup.policy"] == "compact"
    assert all(said.endswith("created") for said in lines(result).values())


def test_what_is_there_is_left_as_it_is(cluster: Cluster) -> None:
    cluster.there = dict.fromkeys(WANTED[1:], PARTITIONS) | {"somebody.else.v1": 1}
    result = create()
    assert result.exit_code == 0, result.output
    assert [one.topic for one in cluster.made] == WANTED[:1]
    told = lines(result)
    assert list(told) == WANTED
    assert told.pop(WANTED[0]).endswith("created")
    assert all(said.endswith("there") for said in told.values())


@pytest.mark.parametrize("found", [PARTITIONS - 1, PARTITIONS + 1], ids=["fewer", "more"])
@pytest.mark.parametrize("name", [names.STATUS, names.changelog("herald-enrich", "seen")])
def test_a_topic_with_another_number_of_partitions_is_named(cluster: Cluster, name: str, found: int) -> None:
    cluster.there = dict.fromkeys(WANTED[2:], PARTITIONS) | {name: found}
    result = create()
    assert result.exit_code == 1
    problems = {topic for topic, said in lines(result).items() if "has" in said.split()}
    assert problems == {name}
    assert f"has {found} partitions, HERALD_PARTITIONS says {PARTITIONS}" in lines(result)[name]
    assert {one.topic for one in cluster.made} == set(WANTED[:2]) - {name}, "the others are made all the same"


def test_settings_that_do_not_serve_are_told_and_put_right_where_that_is_wanted(cluster: Cluster) -> None:
    """An upgrade may want more of a topic than the one before; somebody may have cut it short by hand."""
    cluster.there = dict.fromkeys(WANTED, PARTITIONS)
    cluster.settings = {
        names.DLQ: {"retention.ms": "3600000"},
        names.OUTCOMES: {"retention.ms": "-1"},
        names.LEDGER: {"max.message.bytes": "1048588", "retention.ms": "9999999999"},
    }
    result = create()
    assert (result.exit_code, cluster.changes) == (0, {}), result.output
    assert "retention.ms is 3600000, not 2592000000" in lines(result)[names.DLQ]
    assert {topic for topic, said in lines(result).items() if "not" in said.split()} == {names.DLQ, names.LEDGER}
    assert "--alter" in result.output
    result = create("--alter")
    assert result.exit_code == 0, result.output
    assert cluster.changes == {
        names.DLQ: {"retention.ms": "2592000000"},
        names.LEDGER: {"max.message.bytes": str(16 << 20)},
    }
    assert {topic for topic, said in lines(result).items() if said.endswith("altered")} == {names.DLQ, names.LEDGER}


def test_what_kafka_refuses_is_told_in_its_own_words(cluster: Cluster) -> None:
    cluster.refusal = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "larger than the brokers"))
    result = create()
    assert result.exit_code == 1
    assert "larger than the brokers" in result.output
    assert "Traceback" not in result.output


def test_a_broker_that_does_not_answer_is_told_with_what_names_it(cluster: Cluster) -> None:
    cluster.away = True
    result = create()
    assert result.exit_code == 1
    assert result.output.endswith("(HERALD_KAFKA) does not answer\n")
