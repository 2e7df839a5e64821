"""The feeder's ledger says what lies in the topics, whatever the broker does meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest

import topics
from cli.topics import create_topics
from pipeline import subscriptions
from pipeline.documents import decode
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.routing import choose
from pipeline.trail import header
from settings import Settings
from stack import ServerName, Stack
from tests.chaos import kafka_reader
from tests.chaos.kafka_reader import Offsets
from tests.chaos.published import ID_HEADER, Kind, Line, Told, read_lines
from tests.chaos.records import RawHeaders
from tests.e2e.cargo import unique
from tests.e2e.world import eventually

ROOT = Path(__file__).parents[3]
BOTH = (topics.STATUS, topics.SUBSCRIPTIONS)
STOP_WITHIN_S = 40.0
RATE = 100


@pytest.fixture
def kafka_with_topics(kafka: str) -> str:
    create_topics(Settings(kafka=kafka))
    return kafka


@contextmanager
def feeder(kafka: str, ledger: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.chaos.feeder", "--kafka", kafka, "--ledger", str(ledger)),
            *("--seed", "7", "--rate", str(RATE), *map(str, arguments)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    watch = threading.Timer(30.0, process.kill)
    watch.start()
    try:
        assert process.stdout.readline() == "ready\n"
    finally:
        watch.cancel()


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=STOP_WITHIN_S)
    assert process.returncode == 0, errors


def enough(ledger: Path, look: Callable[[Sequence[Line]], bool], what: str) -> None:
    eventually(lambda: look(list(read_lines(ledger))), what)


class Found(NamedTuple):
    """``where`` is topic, partition and offset."""

    where: tuple[str, int, int]
    value: bytes | None
    content_type: str | None


def lying(kafka: str, since: Offsets, prefix: str) -> dict[str, Found]:
    """What of the feeder's lies in the topics, by id; fails where one lies there twice."""
    found: dict[str, Found] = {}
    for message in kafka_reader.records(kafka, since, kafka_reader.ends(kafka, BOTH)):
        headers = cast(RawHeaders, message.headers() or [])
        id = header(headers, ID_HEADER) or (message.key() or b"").decode()
        if id.startswith(prefix):
            assert id not in found, f"{id} lies there twice"
            where = cast(tuple[str, int, int], (message.topic(), message.partition(), message.offset()))
            found[id] = Found(where, message.value(), header(headers, "content-type"))
    return found


def test_the_ledger_is_what_lies_in_the_topics(kafka_with_topics: str, tmp_path: Path) -> None:
    kafka, ledger, prefix = kafka_with_topics, tmp_path / "feed.ndjson", unique("feed")
    since = kafka_reader.ends(kafka, BOTH)
    began = time.monotonic()
    with feeder(kafka, ledger, "--prefix", prefix, "--poison", "0.3", "--people", "3") as process:
        ready(process)
        enough(ledger, lambda lines: len(lines) >= 3 * RATE, "three seconds of lines")
        lasted_s = time.monotonic() - began
        stop(process)

    lines = list(read_lines(ledger))
    there = lying(kafka, since, prefix)
    assert {line.told for line in lines} == {Told.OK}
    assert {line.id: (line.topic, line.partition, line.offset) for line in lines} == {
        id: one.where for id, one in there.items()
    }
    documents = sum(line.kind is not Kind.SUBSCRIPTION for line in lines)
    assert 2 * RATE < documents <= RATE * (lasted_s + 1), "the schedule is not kept"
    assert 0.2 < sum(line.kind is Kind.POISON for line in lines) / documents < 0.4
    followed = {line.shipment: line for line in lines if line.kind is Kind.SUBSCRIPTION}
    for line in lines:
        _, value, content_type = there[line.id]
        match line.kind:
            case Kind.SUBSCRIPTION:
                subscription = subscriptions.decode(value)
                assert subscription is not None
                assert tuple(one.recipient_id for one in subscription.recipients) == line.recipients
            case Kind.POISON:
                (refusal,) = decode(value, content_type)
                assert isinstance(refusal, InvalidInput), line.way
            case Kind.EVENT:
                (event,) = decode(value, content_type)
                assert isinstance(event, StatusEvent)
                subscription = subscriptions.decode(there[line.shipment].value)
                assert subscription is not None
                told = {(one.recipient.recipient_id, one.channel) for one in choose(event, subscription)}
                everyone = followed[line.shipment]
                assert told == {(one, channel) for one in everyone.recipients for channel in everyone.channels}


@pytest.mark.timeout(240)
def test_the_feeder_goes_on_while_the_broker_is_away(stack: Stack, kafka_with_topics: str, tmp_path: Path) -> None:
    broker = next(one.pid for one in stack.status() if one.server is ServerName.KAFKA)
    if broker is None:
        pytest.skip("a server that was given is not ours to stop")
    kafka, ledger, prefix = kafka_with_topics, tmp_path / "feed.ndjson", unique("feed")
    since = kafka_reader.ends(kafka, BOTH)
    with feeder(kafka, ledger, "--prefix", prefix, "--delivery-timeout-s", "2") as process:
        ready(process)
        # Stopped rather than killed: what it has in its sockets it takes when nobody waits for its word any more.
        os.kill(broker, signal.SIGSTOP)
        try:
            enough(ledger, lambda lines: any(line.told is Told.UNKNOWN for line in lines), "records without a word")
        finally:
            os.kill(broker, signal.SIGCONT)
        back_at = time.time()
        enough(
            ledger, lambda lines: any(line.told is Told.OK and line.at > back_at for line in lines), "the broker's word"
        )
        stop(process)

    lines = list(read_lines(ledger))
    there = lying(kafka, since, prefix)
    told = Counter(line.told for line in lines)
    assert told[Told.OK], told
    assert told[Told.UNKNOWN], told
    assert not told[Told.FAILED], told
    for line in lines:
        if line.told is Told.OK:
            assert there[line.id].where == (line.topic, line.partition, line.offset)
    assert there.keys() <= {line.id for line in lines}
