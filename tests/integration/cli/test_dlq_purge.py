"""`herald dlq purge` on a broker of its own: what it deletes is gone for everybody, so no other test may live there."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

import topics
from agents.turn import dead_letter
from cli.dlq import dlq
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.trail import Trail
from stack import Endpoints, Stack

TIMEOUT_S = 30.0
DAY_MS = 86_400_000
ROOT = Path(__file__).parents[3]
COMMAND = ("dlq", "purge", "--before", "2d", "--open-too", "--yes")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Stack(tmp_path_factory.mktemp("stack")).running() as endpoints:
        yield _with_topic(endpoints)


def _with_topic(endpoints: Endpoints) -> str:
    admin = AdminClient({"bootstrap.servers": endpoints.kafka})
    for future in admin.create_topics(
        [NewTopic(topics.DLQ, 2, 1, config={"retention.ms": str(30 * DAY_MS)})], operation_timeout=TIMEOUT_S
    ).values():
        future.result(TIMEOUT_S)
    return endpoints.kafka


def die(kafka: str, *, days_ago: int, partition: int = 0) -> str:
    """The id of a dead letter that died so long ago."""
    ids: list[str] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None
        ids.append(f"{message.partition()}-{message.offset()}")

    trail = Trail(origin_topic=topics.STATUS, origin_offset=time.monotonic_ns() % 10**12)
    record = dead_letter(b"EXB1", b"{", trail, DeadLetterReason.INVALID_INPUT, "eventID: missing")
    producer = Producer({"bootstrap.servers": kafka, "acks": "all"})
    producer.produce(
        topics.DLQ,
        record.value,
        record.key,
        partition,
        delivered,
        timestamp=int(time.time() * 1000) - days_ago * DAY_MS,
        headers=record.headers,
    )
    assert producer.flush(TIMEOUT_S) == 0
    return ids[0]


def run(kafka: str, *arguments: str, **options: str) -> Result:
    environment = {"HERALD_KAFKA": kafka, "HERALD_START_TIMEOUT_S": "15", "HERALD_LOG_FORMAT": "json", "COLUMNS": "200"}
    return CliRunner(env=environment).invoke(dlq, list(arguments), **options)  # type: ignore[arg-type]


def left(kafka: str) -> set[str]:
    found = set[str]()
    for state in ([], ["--parked"]):
        result = run(kafka, "list", "--json", "--limit", "1000", *state)
        assert result.exit_code == 0, result.output
        found |= {json.loads(line)["id"] for line in result.stdout.splitlines()}
    return found


def test_from_the_front_up_to_what_must_stay(kafka: str) -> None:
    done, stays, behind = (die(kafka, days_ago=10) for _ in range(3))
    young, other = die(kafka, days_ago=1), die(kafka, days_ago=9, partition=1)
    for one in (done, behind, other):
        assert run(kafka, "park", one, "--why", "a test").exit_code == 0
    everything = {done, stays, behind, young, other}

    planned = run(kafka, "purge", "--before", "7d")
    assert planned.exit_code == 0, planned.output
    for said in ("neither replayed nor parked", f" {stays} ", "its end", "1 invalid-input", "--yes deletes 2"):
        assert said in planned.output
    assert left(kafka) == everything, "a dry run is the default"

    for refused in ([], ["--confirm", "herald.dlq"]):
        result = run(kafka, "purge", "--before", "7d", "--yes", *refused)
        assert (result.exit_code, left(kafka)) == (2, everything), "nobody has meant it"

    result = run(kafka, "purge", "--before", "7d", "--yes", "--confirm", topics.DLQ)
    assert result.exit_code == 0, result.output
    assert left(kafka) == {stays, behind, young}, "what lies behind a letter that stays, stays"
    logged = json.loads(next(line for line in result.stderr.splitlines() if "dlq-purge" in line))
    assert logged["message"] == "dead letters purged"
    assert logged["labels"]["dead_letters"] == 2
    assert logged["user"]["name"]

    # What was parked before is still known to be.
    assert behind not in {json.loads(line)["id"] for line in run(kafka, "list", "--json").stdout.splitlines()}

    result = run(kafka, "purge", "--before", "7d", "--open-too", "--yes", "--confirm", topics.DLQ)
    assert result.exit_code == 0, result.output
    assert left(kafka) == {young}
    assert "nothing to delete" in run(kafka, "purge", "--before", "7d", "--yes", "--confirm", topics.DLQ).output


@pytest.mark.parametrize(("typed", "exit_code"), [("yes", 2), (topics.DLQ, 0)])
def test_at_a_terminal_the_name_of_the_topic_is_asked_for(kafka: str, typed: str, exit_code: int) -> None:
    one = die(kafka, days_ago=3, partition=1)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", *COMMAND],
        cwd=ROOT,
        env={**os.environ, "HERALD_KAFKA": kafka},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        os.write(ours, f"{typed}\n".encode())
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, one in left(kafka)) == (exit_code, exit_code != 0), output
    assert "for good. Type the topic's name" in output


def test_what_came_after_a_time_stays(kafka: str) -> None:
    one = die(kafka, days_ago=0)
    result = run(
        kafka, "purge", "--before", datetime.now(UTC).date().isoformat(), "--open-too", "--yes", "--confirm", topics.DLQ
    )
    assert result.exit_code == 0, result.output
    assert one in left(kafka)
