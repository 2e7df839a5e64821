"""Status events in; notifications on their lanes, the ledger, waits for a subscription and dead letters out."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
import structlog
from faust.types import StreamT

import topics
from agents.guard import DeadLetterGuard
from agents.line import Arrived, Line, Refusal, Waiting
from agents.turn import (
    CONTENT_TYPE,
    RECORDS_AT_ONCE,
    dead_letter,
    encode,
    first_seen,
    ledger_record,
    outcome_record,
    source_of,
)
from observability.metrics import Metrics
from observability.redaction import redact_text
from pipeline import trail as trails
from pipeline.deadletter_reasons import OURS, DeadLetterReason
from pipeline.documents import ContentType, decode
from pipeline.enrich import Case, EnrichPolicy, PassOver, Renderer, SeenRow, Settled, Wait, decide, refused
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.ledger import Disposition, EventRecord
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome, Status, conclude
from pipeline.retry import tier_for
from pipeline.times import from_ms
from pipeline.trail import Trail
from streaming.app import ConsumerApp
from streaming.engine import Engine, Turn
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from streaming.records import FetchedRecord
from tables.seen import SeenEvents
from tables.subscriptions import Subscriptions

log = structlog.get_logger(__name__)

# What a hundred thousand subscriptions take, and longer than Kafka is away without a word.
CATCH_UP_S = 30.0

OWN_JSON = (CONTENT_TYPE, ContentType.OWN.encode())


@dataclass
class Part:
    """What is decided and not durable yet; ``faults`` counts events that came to nothing for a fault of ours.

    ``taken`` counts the records that have been dealt with to their end.
    """

    now_ms: int
    out: list[Record] = field(default_factory=list)
    seen: dict[int, dict[str, SeenRow]] = field(default_factory=lambda: defaultdict(dict))
    taken: Counter[Fetch] = field(default_factory=Counter)
    dispositions: Counter[Disposition] = field(default_factory=Counter)
    created: Counter[tuple[Channel, Lane]] = field(default_factory=Counter)
    ended: list[Outcome] = field(default_factory=list)
    faults: int = 0
    dead: Counter[DeadLetterReason] = field(default_factory=Counter)

    @cached_property
    def now(self) -> datetime:
        return from_ms(self.now_ms)


@dataclass(frozen=True, kw_only=True)
class Enricher:
    """The I/O around `pipeline.enrich.decide`, many records at a time; ``clock_ms`` is wall time.

    ``catch_up`` waits until every subscription that has been published to some partitions is read, for so many seconds
    at most, and tells whether it is. About ``at_once`` records are made before they are kept.
    """

    engine: Engine
    out: RecordSink
    seen: SeenEvents
    subscriptions: Subscriptions
    renderer: Renderer
    policy: EnrichPolicy
    tiers_s: tuple[float, ...]
    partitions: int
    catch_up: Callable[[Iterable[int], float], Awaitable[bool]]
    guard: DeadLetterGuard
    metrics: Metrics
    clock_ms: Callable[[], int]
    at_once: int = RECORDS_AT_ONCE

    async def process(self, turn: Turn) -> None:
        """Returns when everything that the records gave rise to is durable, and they are finished.

        That happens in parts: of a turn that is broken off, only the last has to be done again. What arrives meanwhile
        is taken in between two of them, and urgent events go first. Raises Drained.
        """
        line = Line(self._found)
        come: Sequence[Fetch] = turn
        catch_up_s = CATCH_UP_S
        while True:
            if come:
                caught_up = await self._catch_up(come, catch_up_s)
                catch_up_s = CATCH_UP_S if caught_up else 0.0  # it has been waited for
                line.add(come, caught_up=caught_up)
            part = Part(self.clock_ms())
            for one in line.part(part.now_ms):
                self._one(one, part)
                if len(part.out) >= self.at_once:
                    break
            await self._keep(part)
            if not line:
                return
            await self.engine.go_on(line.head)
            come = turn.more()

    async def _catch_up(self, come: Sequence[Fetch], limit_s: float) -> bool:
        """After a pause both are read from a backlog: who has left must not be told, nor who has come be left out."""
        caught_up = await self.catch_up({fetch.tp.partition for fetch in come}, limit_s)
        if not caught_up and limit_s:
            log.warning("subscriptions are not read to their end; events go by those that are")
        return caught_up

    async def _keep(self, part: Part) -> None:
        await self.out.send_all(part.out)
        # Only now: a row that is there says that its notifications are durable.
        await self.seen.put(self.out, part.seen)
        for fetch, records in part.taken.items():
            self.engine.in_flight.finish(fetch, records)
        self.metrics.events(part.dispositions)
        self.metrics.created(part.created)
        self.metrics.outcomes(part.ended)
        self.metrics.dead_lettered(part.dead)
        # What publishers break says nothing of us: neither that all is well, nor that it is not.
        ended = part.dispositions.total() - sum(dead for reason, dead in part.dead.items() if reason not in OURS)
        self.guard.note(ended, dead=part.faults, bugs=part.faults)

    def _found(self, record: FetchedRecord, now_ms: int) -> Iterator[tuple[Trail, StatusEvent | Refusal]]:
        """The events of a record, each with its own first coordinates."""
        trail = trails.DEFAULTS
        results: list[StatusEvent | InvalidInput | Refusal] = []
        try:
            trail = self._trail(record, now_ms)
            results += decode(record.value, trails.header(record.headers, CONTENT_TYPE))
        except InvalidInput as refusal:
            results.append(refusal)
        except Exception as bug:  # one record's bug must not stop the rest
            log.exception("cannot decode", topic=record.topic, partition=record.partition, offset=record.offset)
            trail = trails.DEFAULTS
            results.append(Refusal(DeadLetterReason.BUG, type(bug).__name__))
        at = first_seen(trail, record)
        for index, result in enumerate(results):
            here = msgspec.structs.replace(at, origin_index=index) if index and not trail.origin_topic else at
            if isinstance(result, InvalidInput):
                yield here, Refusal(DeadLetterReason.INVALID_INPUT, str(result))
            else:
                yield here, result

    def _trail(self, record: FetchedRecord, now_ms: int) -> Trail:
        """Our own headers mean something on our own topic alone: on the public one anybody writes."""
        return trails.read(record.headers, now_ms) if record.topic == topics.STATUS_AGAIN else trails.DEFAULTS

    def _one(self, one: Waiting, part: Part) -> None:
        arrived = one.arrived
        if isinstance(one.found, Refusal):
            self._refuse(arrived.record, one.trail, part, one.found)
        else:
            self._decide(one.found, arrived, one.trail, part)
        arrived.left -= 1
        if not arrived.left:
            part.taken[arrived.fetch] += 1

    def _decide(self, event: StatusEvent, arrived: Arrived, trail: Trail, part: Part) -> None:
        record, key = arrived.record, event.shipment_id.encode()
        if record.topic != topics.STATUS_AGAIN and self._is_misplaced(key, record):
            # Its subscription and history are with the partition of its shipment, perhaps another worker's.
            part.out.append(Record(topics.STATUS_AGAIN, key, encode(event), [OWN_JSON, *trails.write(trail)]))
            return
        partition = record.partition
        seen = part.seen[partition].get(event.identity) or self.seen.get(partition, event.identity)
        subscription = self.subscriptions.get(partition, event.shipment_id)
        try:
            case = Case(
                event=event,
                source=source_of(trail),
                seen=seen,
                subscription=subscription,
                waited=trail.attempts,
                caught_up=arrived.caught_up,
                first_seen_at=trail.first_seen_at,
                now=part.now,
                replay=trail.replay,
            )
            decision = decide(case, self.renderer, self.policy)
        except Exception as bug:  # in the decision alone: a table that cannot be read ends the process
            log.exception("no decision", topic=record.topic, partition=partition, offset=record.offset)
            self._refuse(record, trail, part, Refusal(DeadLetterReason.BUG, type(bug).__name__))
            return
        match decision:
            case Settled():
                self._settle(decision, event, record, trail, part)
            case Wait():
                self._wait(event, trail, part)
            case PassOver():
                self.metrics.duplicates("enrich", 1)

    def _is_misplaced(self, key: bytes, record: FetchedRecord) -> bool:
        """Asked of what comes in alone: what we placed ourselves must not go round for ever, whatever settings say."""
        return bool(key != record.key) or topics.partition_of(key, self.partitions) != record.partition

    def _settle(self, settled: Settled, event: StatusEvent, record: FetchedRecord, trail: Trail, part: Part) -> None:
        out = [ledger_record(settled.record, record.key)]
        for one in settled.notifications:
            out.append(Record(topics.lane(one.channel, one.lane), one.recipient.encode(), encode(one)))
            part.created[one.channel, one.lane] += 1
        for failed in settled.failed:
            outcome = conclude(
                failed.notification, Status.TECHNICAL_FAILURE, part.now_ms, attempts=0, reason=str(failed.error)
            )
            out.append(outcome_record(outcome))
            part.created[outcome.channel, outcome.lane] += 1
            part.ended.append(outcome)
            part.dead[DeadLetterReason.TEMPLATE] += 1
            out.append(
                dead_letter(
                    record.key, record.value, trail, DeadLetterReason.TEMPLATE, str(failed.error), record.headers
                )
            )
        # A replay is for the failed alone, and for as long as their template is wrong it fails for all of them.
        part.faults += bool(settled.failed and not settled.notifications and not trail.replay)
        if settled.seen is not None:
            part.seen[record.partition][event.identity] = settled.seen
        part.out.extend(out)
        if not trail.replay:
            part.dispositions[settled.record.disposition] += 1

    def _wait(self, event: StatusEvent, trail: Trail, part: Part) -> None:
        tier_s = tier_for(trail.attempts + 1, 0.0, self.tiers_s)
        waiting = msgspec.structs.replace(
            trail,
            attempts=trail.attempts + 1,
            due_ms=part.now_ms + round(tier_s * 1000),
            target=topics.STATUS_AGAIN,
        )
        part.out.append(
            Record(
                topics.retry(tier_s),
                event.shipment_id.encode(),
                encode(event),
                [OWN_JSON, *trails.write(waiting)],
            )
        )

    def _refuse(self, record: FetchedRecord, trail: Trail, part: Part, refusal: Refusal) -> None:
        reason, error = refusal.reason, redact_text(refusal.error)
        entry: EventRecord = refused(error, source_of(trail), trail.first_seen_at, part.now)
        part.out.append(ledger_record(entry, record.key))
        part.out.append(dead_letter(record.key, record.value, trail, reason, error, record.headers))
        part.dispositions[entry.disposition] += 1
        part.dead[reason] += 1
        part.faults += reason in OURS


def define(app: ConsumerApp, enricher: Enricher, *, window: int) -> None:
    """The agent of ``cargo.status.v1`` and of the events that come again."""

    @app.agent(app.batched_topic(topics.STATUS, topics.STATUS_AGAIN, window=window), name="enrich")
    async def enrich(stream: StreamT[Any]) -> None:
        await app.engine.feed(stream, enricher.process)
