"""Outcomes and the ledger in, Postgres rows and cached statuses out.

Postgres first: what it has not stored is not committed, and while it is away the sink waits and Kafka keeps the rest.
Redis is told afterwards and may fail.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog
from faust.types import StreamT

import topics
from agents.guard import DeadLetterGuard
from agents.turn import set_aside
from observability.metrics import Metrics
from pipeline import strict_json
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import CacheUnavailable, InvalidInput, StorageUnavailable
from pipeline.ledger import EventRecord
from pipeline.notifications import Notification
from pipeline.outcomes import Outcome
from pipeline.ports import OutcomeStore, StatusStore, StoreResult, Waiting
from pipeline.times import from_ms
from streaming.app import ConsumerApp
from streaming.engine import Drained
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from streaming.records import FetchedRecord
from streaming.watchdog import Patience

log = structlog.get_logger(__name__)

T = TypeVar("T", Outcome, EventRecord)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
GIVE_UP_AFTER_S = 3_600.0
# A transaction costs the same for one row as for fifty, and a fetch costs by its partitions, not by its records.
GATHER_S = 0.2
# An event that a thousand people are told of has a line of 150 KB in the ledger: with thousands of those in one COPY,
# no time limit would do.
BYTES_AT_ONCE = 8 << 20

outcomes_of = msgspec.json.Decoder(Outcome)
events_of = msgspec.json.Decoder(EventRecord)
notification_of = msgspec.json.Decoder(Notification)


@dataclass(frozen=True, kw_only=True)
class Sink:
    """``draining`` tells that the partitions are being taken away, so that a wait for Postgres ends."""

    store: OutcomeStore
    cache: StatusStore
    out: RecordSink
    patience: Patience
    draining: Callable[[], bool]
    guard: DeadLetterGuard
    metrics: Metrics
    clock_ms: Callable[[], int]

    async def outcomes(self, fetches: Sequence[Fetch]) -> None:
        """Returns when every outcome is a row. Raises Drained, StorageUnavailable after an hour."""
        for part in _parts(fetches):
            await self._outcomes(part)

    async def _outcomes(self, part: Sequence[FetchedRecord]) -> None:
        records, outcomes = await self._decoded(part, outcomes_of)
        new = await self._stored(records, lambda: self.store.store_outcomes(outcomes))
        # Where Postgres kept another outcome, or none, the cache must not say this one: of those it is asked instead.
        if new == len(records):
            pairs = zip(outcomes, records, strict=True)
            await self._cached(self.cache.put_outcomes([(one.notification_id, of.value or b"") for one, of in pairs]))

    async def events(self, fetches: Sequence[Fetch]) -> None:
        """Returns when every line of the ledger is a row. Raises as `outcomes`."""
        for part in _parts(fetches):
            await self._events(part)

    async def _events(self, part: Sequence[FetchedRecord]) -> None:
        records, events = await self._decoded(part, events_of)
        await self._stored(records, lambda: self.store.store_events(events))

    async def waiting(self, fetches: Sequence[Fetch]) -> None:
        """Notifications that wait for another attempt are worth a line in the cache, and nothing more."""
        waiting = [one for fetch in fetches for record in fetch.records if (one := self._waiting(record))]
        await self._cached(self.cache.put_waiting(waiting))

    def _waiting(self, record: FetchedRecord) -> Waiting | None:
        try:
            trail = trails.read(record.headers, self.clock_ms())
            if trail.target == topics.STATUS_AGAIN:
                return None  # an event that waits for its subscription
            notification = strict_json.parse(notification_of, record.value or b"")
        except InvalidInput:
            return None  # the retry role, or the one that it goes back to, makes a dead letter of it
        return Waiting(notification, trail.attempts, from_ms(trail.due_ms), trail.error or None)

    async def _decoded(
        self, part: Sequence[FetchedRecord], decoder: msgspec.json.Decoder[T]
    ) -> tuple[list[FetchedRecord], list[T]]:
        records: list[FetchedRecord] = []
        values: list[T] = []
        refused: list[Record] = []
        for record in part:
            try:
                values.append(strict_json.parse(decoder, record.value or b""))
                records.append(record)
            except InvalidInput as refusal:
                refused.append(set_aside(record, DeadLetterReason.INVALID_INPUT, str(refusal)))
        await self._dead_letters(refused, DeadLetterReason.INVALID_INPUT)
        return records, values

    async def _stored(self, records: Sequence[FetchedRecord], store: Callable[[], Awaitable[StoreResult]]) -> int:
        """How many of them were new."""
        if not records:
            return 0
        started = time.perf_counter()
        result = await self._patiently(store)
        reason = DeadLetterReason.REJECTED_BY_STORE
        rejected = [set_aside(records[one.index], reason, one.reason) for one in result.rejected]
        await self._dead_letters(rejected, reason)
        self.guard.note(len(records), dead=len(result.rejected), bugs=len(result.rejected))
        known = len(records) - result.stored - len(result.rejected)
        self.metrics.stored("postgres", new=result.stored, known=known, seconds=time.perf_counter() - started)
        return result.stored

    async def _patiently(self, store: Callable[[], Awaitable[StoreResult]]) -> StoreResult:
        wait_s, give_up_at = FIRST_WAIT_S, time.monotonic() + GIVE_UP_AFTER_S
        while True:
            try:
                return await store()
            except StorageUnavailable as error:
                if self.draining():
                    raise Drained("the sink was waiting for Postgres") from error
                if time.monotonic() > give_up_at:
                    raise
                log.warning("Postgres cannot store outcomes now, the sink waits", reason=str(error), wait_s=wait_s)
            # Waiting is not being stuck.
            self.patience.renew()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _cached(self, write: Awaitable[None]) -> None:
        try:
            await write
        except CacheUnavailable as error:
            self.metrics.redis_failed()
            log.warning("Redis did not take statuses", reason=str(error))

    async def _dead_letters(self, records: Sequence[Record], reason: DeadLetterReason) -> None:
        if records:
            await self.out.send_all(records)
            self.metrics.dead_lettered(Counter({reason: len(records)}))


def _parts(fetches: Sequence[Fetch]) -> Iterator[Sequence[FetchedRecord]]:
    """Everything that has come, as a rule, in one; of less than `BYTES_AT_ONCE` each, where records are not larger."""
    part: list[FetchedRecord] = []
    size = 0
    for fetch in fetches:
        for record in fetch.records:
            size += len(record.value or b"")
            if part and size > BYTES_AT_ONCE:
                yield part
                part, size = [], len(record.value or b"")
            part.append(record)
    if part:
        yield part


def define(app: ConsumerApp, sink: Sink, *, tiers_s: Sequence[float], window: int) -> None:
    @app.agent(app.batched_topic(topics.OUTCOMES, window=window), name="outcomes")
    async def outcomes(stream: StreamT[Any]) -> None:
        await app.engine.run(stream, sink.outcomes)

    @app.agent(app.batched_topic(topics.LEDGER, window=window), name="ledger")
    async def ledger(stream: StreamT[Any]) -> None:
        await app.engine.run(stream, sink.events)

    @app.agent(app.batched_topic(*map(topics.retry, tiers_s), window=window), name="waiting")
    async def waiting(stream: StreamT[Any]) -> None:
        await app.engine.run(stream, sink.waiting)
