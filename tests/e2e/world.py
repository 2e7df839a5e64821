"""What can a test do to the running pipeline, and ask of it? Publish, wait, and read what every party remembers."""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncpg
from confluent_kafka import Consumer, Message, Producer, TopicPartition

import topics
from cli.local import LocalPipeline
from pipeline.events import StatusEvent
from pipeline.notifications import Channel
from settings import Role
from simulators.launch import DIRECT, Kind
from simulators.ledger import Entry, Result
from stack import Stack
from streaming.producer import MAX_RECORD_BYTES, Headers
from tests.e2e.cargo import Shipment, encode

# What the workers of these tests are set to.
TIERS_S = (1.0, 2.0, 4.0)
GRACE_S = 4.0
CALLS, BATCH = 8, 10

SUBSCRIPTION_ROWS = topics.changelog("herald-enrich", "subscriptions")

ROOT = Path(__file__).parents[2]
SOON_S = 60.0
COMMAND_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1
TIMEOUT_S = 15.0
SIMULATORS = {Channel.SMS: Kind.SMS, Channel.EMAIL: Kind.SMTP, Channel.PUSH: Kind.FCM}

T = TypeVar("T")
Row = Mapping[str, Any]
Mark = Mapping[int, int]
RawHeaders = list[tuple[str, bytes | None]]


def eventually(look: Callable[[], T | None], what: str, *, within_s: float = SOON_S) -> T:
    """What ``look`` finds, once it finds something; fails when it has not by the deadline."""
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(LOOK_EVERY_S)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


def herald(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)],
        cwd=ROOT,
        env={"COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )


class World:
    """Every method blocks, for `TIMEOUT_S` at most."""

    def __init__(self, stack: Stack, pipeline: LocalPipeline) -> None:
        self.stack = stack
        self.pipeline = pipeline
        self._producer = Producer(
            {
                "bootstrap.servers": pipeline.endpoints.kafka,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_RECORD_BYTES,
                "linger.ms": 0,
            }
        )

    # Publishing

    def publish(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> None:
        self._producer.produce(topic, value, key, headers=headers)

    def flush(self) -> None:
        assert self._producer.flush(TIMEOUT_S) == 0, "Kafka did not take what the test published"

    def subscribe(self, *shipments: Shipment) -> None:
        """Returns when enrich has the subscriptions in its table: an event from now on waits for none."""
        before = self.mark(SUBSCRIPTION_ROWS)
        for shipment in shipments:
            self.publish(topics.SUBSCRIPTIONS, shipment.key, shipment.subscription())
        self.flush()
        wanted = sum(before.values()) + len(shipments)
        eventually(lambda: sum(self.mark(SUBSCRIPTION_ROWS).values()) >= wanted, "rows for the subscriptions")

    def tell(self, *events: StatusEvent) -> None:
        for event in events:
            self.publish(topics.STATUS, event.shipment_id.encode(), encode(event))
        self.flush()

    def herald(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command of ours, as a user would run it, to its end."""
        return herald(*arguments, **{**self.pipeline.environment, **environment})

    @contextmanager
    def frozen(self, role: Role) -> Iterator[None]:
        """Its worker is stopped meanwhile. One that ended would be started again."""
        process = self.pipeline.supervisor.workers[role].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    # Postgres

    def query(self, statement: str, *arguments: object) -> list[Row]:
        async def fetch() -> list[Row]:
            connection = await asyncpg.connect(self.pipeline.endpoints.postgres, timeout=TIMEOUT_S)
            try:
                found = await connection.fetch(statement, *arguments, timeout=TIMEOUT_S)
            finally:
                await connection.close()
            return [dict(row) for row in found]

        return asyncio.run(fetch())

    def outcomes(self, shipments: Iterable[Shipment]) -> dict[str, Row]:
        """The rows of some shipments by the notification's id."""
        found = self.query(
            "SELECT * FROM notification_outcome WHERE shipment_id = ANY ($1)", [one.id for one in shipments]
        )
        return {str(row["notification_id"]): row for row in found}

    def outcomes_of(self, ids: Collection[str], *, within_s: float = SOON_S) -> dict[str, Row]:
        """The rows of these notifications, once there is one for each."""

        def look() -> dict[str, Row] | None:
            found = self.query("SELECT * FROM notification_outcome WHERE notification_id = ANY ($1)", list(ids))
            return {str(row["notification_id"]): row for row in found} if len(found) == len(ids) else None

        return eventually(look, f"{len(ids)} outcomes", within_s=within_s)

    def dispositions(self, shipment: Shipment, count: int, *, within_s: float = SOON_S) -> list[str]:
        """What became of the shipment's first ``count`` events, sorted, once all are in the ledger."""

        def look() -> list[str] | None:
            rows = self.query("SELECT disposition FROM event_ledger WHERE shipment_id = $1", shipment.id)
            return sorted(row["disposition"] for row in rows) if len(rows) >= count else None

        return eventually(look, f"{count} lines in the ledger", within_s=within_s)

    # Providers

    def heard(self, channel: Channel, ids: Collection[str] | None = None) -> list[Entry]:
        """What the channel's provider was told, in order; of these notifications, or at all."""
        return [entry for entry in self.simulator(channel).ledger() if ids is None or entry.id in ids]

    def accepted(self, channel: Channel, ids: Collection[str]) -> list[Entry]:
        return [entry for entry in self.heard(channel, ids) if entry.result is Result.ACCEPTED]

    def simulator(self, channel: Channel) -> Any:
        return self.pipeline.simulators[SIMULATORS[channel]]

    # Kafka

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.pipeline.endpoints.kafka,
                "group.id": str(uuid.uuid4()),
                "enable.auto.commit": False,
                "fetch.message.max.bytes": MAX_RECORD_BYTES,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def _ends(self, consumer: Consumer, topic: str) -> Mark:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)[1]
            for number in partitions
        }

    def mark(self, topic: str) -> Mark:
        """Where the topic ends now."""
        with self._consumer() as consumer:
            return self._ends(consumer, topic)

    def records(self, topic: str, since: Mark) -> list[Message]:
        """Everything from ``since`` to the topic's end of this moment, in order by partition."""
        with self._consumer() as consumer:
            ends = self._ends(consumer, topic)
            expected = sum(ends[number] - since[number] for number in ends)
            consumer.assign([TopicPartition(topic, number, since[number]) for number in ends])
            found: list[Message] = []
            deadline = time.monotonic() + TIMEOUT_S
            while len(found) < expected:
                assert time.monotonic() < deadline, f"{topic}: {len(found)} of {expected} records read"
                batch = consumer.consume(expected - len(found), timeout=1.0)
                assert all(message.error() is None for message in batch)
                found += batch
        return found

    def dead_letters(self, since: Mark) -> dict[bytes | None, list["DeadLetter"]]:
        """The dead letters since then, by key."""
        letters: dict[bytes | None, list[DeadLetter]] = defaultdict(list)
        for message in self.records(topics.DLQ, since):
            headers = {name: (raw or b"").decode() for name, raw in cast(RawHeaders, message.headers() or [])}
            id = f"{message.partition()}-{message.offset()}"
            letters[message.key()].append(DeadLetter(id, message.value(), headers))
        return letters

    # The API

    def get(self, path: str, *, key: str | None = None) -> Answer:
        headers = {"X-API-Key": self.pipeline.api_key if key is None else key}
        request = urllib.request.Request(self.pipeline.api_url + path, headers=headers)  # noqa: S310 -- our own
        try:
            with DIRECT.open(request, timeout=TIMEOUT_S) as answer:
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))

    def status_of(self, notification_id: str) -> Mapping[str, Any]:
        """What the API says of a notification; empty while it has not heard of it."""
        answer = self.get(f"/v1/notifications/{notification_id}")
        assert answer.status in (200, 404), answer
        return answer.body if answer.status == 200 else {}


@dataclass(frozen=True)
class DeadLetter:
    """``id`` is what `herald dlq` knows it by."""

    id: str
    value: bytes | None
    headers: Mapping[str, str]

    @property
    def reason(self) -> str:
        return self.headers["herald-reason"]

    @property
    def error(self) -> str:
        return self.headers.get("herald-error", "")


def gaps(entries: Sequence[Entry]) -> list[float]:
    """The seconds between one call about a notification and the next."""
    return [after.at - before.at for before, after in itertools.pairwise(entries)]
