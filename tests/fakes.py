"""Stand-ins for what is outside the code under test: the clock, Kafka, a provider, a table, the stores.

Whoever is given the same `Journal` writes into it what happened, in order.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import faust
import msgspec
from faust.types.tuples import TP

from pipeline.notifications import Channel, Lane, Notification
from pipeline.ports import Accepted, Rejected, SendResult, StoreResult
from streaming.engine import Drained
from streaming.inflight import Fetch
from streaming.producer import ProduceFailed, Record

T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
T0_MS = round(T0.timestamp() * 1000)

Journal = list[str]


class Clock:
    """Time that stands still until told to move."""

    def __init__(self, ms: int = T0_MS) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms

    def seconds(self) -> float:
        return self.ms / 1000

    def advance(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


class Membership:
    """Whether the group counts this worker in: until told otherwise."""

    def __init__(self) -> None:
        self.held = True

    def __call__(self) -> bool:
        return self.held


class Consumed(NamedTuple):
    """What agents read of a `streaming.records.FetchedRecord`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = T0_MS


@dataclass
class Out:
    """A RecordSink that keeps what it is given; ``fails`` says on which topics it does not."""

    journal: Journal = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        # As the real one, it gives others their turn before the broker has answered.
        await asyncio.sleep(0)
        if any(record.topic in self.fails for record in records):
            raise ProduceFailed("told to fail")
        offsets: dict[int, int] = {}
        for record in records:
            offsets[record.partition] = len(self.records)
            self.records.append(record)
            self.journal.append(f"produced {record.topic}")
        return offsets

    def on(self, topic: str) -> list[Record]:
        return [record for record in self.records if record.topic == topic]

    def values(self, topic: str) -> list[dict[str, object]]:
        return [msgspec.json.decode(record.value or b"") for record in self.on(topic)]


@dataclass
class Table:
    """A ChangelogTable without Faust and disk: rows in memory, a record for each in ``changelog``."""

    changelog: str = "changelog"
    here: set[int] = field(default_factory=lambda: {0, 1, 2, 3})
    stored: dict[int, dict[bytes, bytes]] = field(default_factory=lambda: defaultdict(dict))

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self._database(partition).get(key)

    def read_prefix(self, partition: int, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return sorted((key, row) for key, row in self._database(partition).items() if key.startswith(prefix))

    async def write(self, producer: Out, rows: Mapping[int, Sequence[tuple[bytes, bytes | None]]]) -> None:
        flat = [Record(self.changelog, *row, None, partition) for partition, some in rows.items() for row in some]
        await producer.send_all(flat)
        for one in flat:
            if one.value is None:
                self._database(one.partition).pop(one.key, None)
            else:
                self._database(one.partition)[one.key] = one.value

    def _database(self, partition: int) -> dict[bytes, bytes]:
        if partition not in self.here:
            raise Drained("not assigned")
        return self.stored[partition]


Answer = Callable[[Sequence[Notification]], Sequence[SendResult]]


def accept(notifications: Sequence[Notification]) -> Sequence[SendResult]:
    return [Accepted(f"ref-{one.id}") for one in notifications]


@dataclass
class FakeProvider:
    """Answers as told; while ``open`` is not set its calls are under way."""

    journal: Journal = field(default_factory=list)
    answer: Answer = accept
    name: str = "fake"
    channel: Channel = Channel.SMS
    max_messages: int = 100
    max_calls: int = 100
    key_lifetime_s: float = 0.0
    calls: list[list[str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        self.calls.append([one.id for one in notifications])
        self.journal.append("provider called")
        await self.open.wait()
        results = self.answer(notifications)
        self.journal.append("provider answered")
        return results

    @property
    def told(self) -> list[str]:
        return [one for call in self.calls for one in call]


@dataclass
class Store:
    """An OutcomeStore; each call takes the next of ``troubles`` and raises it, until there are none left.

    So many rows of a call are ``known`` already.
    """

    journal: Journal = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    rejects: dict[int, str] = field(default_factory=dict)
    known: int = 0
    rows: list[object] = field(default_factory=list)

    async def store_outcomes(self, outcomes: Sequence[object]) -> StoreResult:
        return self._store(outcomes)

    async def store_events(self, events: Sequence[object]) -> StoreResult:
        return self._store(events)

    def _store(self, rows: Sequence[object]) -> StoreResult:
        self.journal.append("store called")
        if self.troubles:
            raise self.troubles.pop(0)
        kept = [row for index, row in enumerate(rows) if index not in self.rejects]
        self.rows += kept
        rejected = tuple(Rejected(index, reason) for index, reason in self.rejects.items())
        return StoreResult(len(kept) - self.known, rejected)


@dataclass
class Cache:
    """A StatusStore; raises ``trouble`` while there is one."""

    trouble: Exception | None = None
    journal: Journal = field(default_factory=list)
    kept: list[object] = field(default_factory=list)

    async def put_waiting(self, waiting: Iterable[object]) -> None:
        self._keep(waiting)

    async def put_outcomes(self, outcomes: Iterable[tuple[str, bytes]]) -> None:
        self._keep(outcomes)

    def _keep(self, values: Iterable[object]) -> None:
        self.journal.append("cache called")
        if self.trouble is not None:
            raise self.trouble
        self.kept += values


async def read_to_the_end(partitions: Iterable[int], limit_s: float) -> bool:
    """Subscriptions, for an Enricher that has nothing to wait for."""
    return True


def app() -> faust.App:
    """Never started: tables want one to be defined in."""
    return faust.App("tests", broker="kafka://127.0.0.1:1", store="memory://", topic_partitions=4)


def fetch(*records: Consumed) -> Fetch:
    """Records of one partition that arrived together, in no window."""
    return Fetch(TP(records[0].topic, records[0].partition), records)


def notification(id: str = "n-1", **fields: object) -> Notification:
    told = Notification(
        id=id,
        event_id="e-1",
        shipment_id="s-1",
        recipient="anna",
        channel=Channel.SMS,
        lane=Lane.BULK,
        address="+79990000001",
        title="",
        body="Arrived",
        template="ARRI",
        template_version=1,
        locale="en",
        created_at=T0,
        expires_at=T0 + timedelta(days=1),
        first_seen_at=T0 - timedelta(seconds=5),
    )
    return msgspec.structs.replace(told, **fields)


async def until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Let the loop run until something holds; fails loudly past the limit."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 what it waits for is no event
            await asyncio.sleep(0.001)


async def turns(count: int = 50) -> None:
    """Give every task its turn so often that what could happen has happened."""
    for _ in range(count):
        await asyncio.sleep(0)
