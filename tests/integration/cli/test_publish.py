"""`herald publish` on a real broker: what is sound arrives as it was, what is not is named, and nothing is hidden."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient, NewTopic

import topics
from cli.items import BY_NAME
from cli.publish import publish
from pipeline.documents import ContentType
from tests.integration.cli.from_here_on import reading

FIXTURES = Path(__file__).parents[2] / "fixtures"
PARTITIONS = 3


@pytest.fixture(scope="module", autouse=True)
def _topics(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    wanted = [NewTopic(name, PARTITIONS, 1) for name in (topics.STATUS, topics.SUBSCRIPTIONS)]
    for future in admin.create_topics(wanted).values():
        error = future.exception(timeout=30)
        assert error is None or "exists" in str(error)


@pytest.fixture
def reader(kafka: str) -> Iterator[Consumer]:
    """Reads what is published from here on."""
    with reading(kafka, (topics.STATUS, topics.SUBSCRIPTIONS)) as consumer:
        yield consumer


def run(kafka: str, *arguments: object) -> Result:
    environment = {"HERALD_KAFKA": kafka, "HERALD_START_TIMEOUT_S": "15", "COLUMNS": "160"}
    return CliRunner(env=environment).invoke(publish, [str(argument) for argument in arguments])


def arrived(reader: Consumer, count: int) -> list[Message]:
    messages = reader.consume(count, timeout=30)
    assert len(messages) == count
    assert all(message.error() is None for message in messages)
    return messages


def test_sound_files_arrive_under_their_shipment(kafka: str, reader: Consumer) -> None:
    result = run(kafka, *(FIXTURES / name for name in ("subscription.json", "dcsa-v2-array.json", "dcsa-v3.json")))
    assert result.exit_code == 0, result.output
    messages = arrived(reader, 5)
    assert {message.key() for message in messages} == {b"EXB0000001"}
    assert sorted((message.topic(), dict(message.headers())["content-type"].decode()) for message in messages) == [
        *[(topics.STATUS, ContentType.DCSA_V2)] * 3,
        (topics.STATUS, ContentType.DCSA_V3),
        (topics.SUBSCRIPTIONS, "application/json"),
    ]
    assert len({message.partition() for message in messages}) == 1, "co-partitioned: one place for one shipment"


def test_a_refused_item_is_named_and_the_others_are_published(kafka: str, reader: Consumer, tmp_path: Path) -> None:
    sound = b" ".join((FIXTURES / "status-own.json").read_bytes().split())
    file = tmp_path / "mixed.ndjson"
    file.write_bytes(b"\n".join([sound, sound.replace(b'"LOAD"', b'"TELE"'), sound]))
    result = run(kafka, file)
    assert result.exit_code == 1
    for word in ("line 2", "status", "TELE"):
        assert word in result.output
    assert [message.value() for message in arrived(reader, 2)] == [sound, sound]
    assert reader.consume(1, timeout=1) == []


def test_a_missing_broker_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.kafka.ANSWER_S", 1.0)
    result = run("127.0.0.1:1", FIXTURES / "status-own.json")
    assert (result.exit_code, result.output) == (1, "Error: Kafka at 127.0.0.1:1 (HERALD_KAFKA) does not answer\n")


def test_a_missing_topic_is_said_with_what_makes_it(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, "status", "no.such.topic.v1")
    result = run(kafka, "--topic", "status", FIXTURES / "status-own.json")
    assert (result.exit_code, result.output) == (1, "Error: no.such.topic.v1 is not there: herald topics create\n")


def test_what_the_broker_does_not_take_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has gone since it was asked for the topic."""
    monkeypatch.setattr("cli.publish.require_topic", lambda *_: None)
    environment = {"HERALD_KAFKA": "127.0.0.1:1", "HERALD_START_TIMEOUT_S": "1", "COLUMNS": "160"}
    result = CliRunner(env=environment).invoke(publish, [str(FIXTURES / "status-own.json")])
    assert result.exit_code == 1
    (row,) = [line for line in result.output.splitlines() if "status-own.json" in line]
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["0", "0"]
    assert "1 records did not reach Kafka" in result.output
    assert "Traceback" not in result.output
