"""Every role in one, a record at a time, on a real broker: what is decided and written is the pipeline's own."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

import templates
import topics
from agents import delay
from agents.enrich import Enricher
from agents.guard import DeadLetterGuard
from agents.sending import Sending, read, records_of
from observability.metrics import Metrics
from pipeline.deadletter_limits import DeadLetterPolicy
from pipeline.delivery import SendPolicy, judge
from pipeline.enrich import EnrichPolicy
from pipeline.errors import DeliveryError, TransientError
from pipeline.ledger import EventRecord
from pipeline.outcomes import Outcome
from pipeline.ports import Accepted
from pipeline.rendering import Renderer
from pipeline.retry import RetryPolicy
from simulators.ledger import Ledger, Result
from streaming.engine import Engine, Turn
from streaming.halt import Halt
from streaming.producer import Headers, Record
from tables.seen import SeenEvents
from tables.subscriptions import Subscriptions
from tests.chaos.load import Document
from tests.chaos.published import ID_HEADER, Kind, Line, Told
from tests.e2e.cargo import Shipment
from tests.fakes import Consumed, Out, Table, app, fetch, read_to_the_end

TIERS_S = (0.1, 0.2)
POLICY = SendPolicy(
    retry=RetryPolicy(tiers_s=TIERS_S, attempts=2, total_s=60.0, jitter=0.0),
    provider="simulated",
    send_again=True,
    key_lifetime_s=0.0,
)
TIMEOUT_S = 30.0

Answer = Accepted | DeliveryError
ACCEPTED, NOT_NOW = Accepted("reference"), TransientError("not now")


def _end(reason: str) -> NoReturn:
    raise AssertionError(f"the process would have ended: {reason}")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ByHand:
    """``lines``, ``outcomes`` and ``events`` are what the feeder's ledger and Postgres are to be given."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.lines: list[Line] = []
        self.outcomes: list[Outcome] = []
        self.events: list[EventRecord] = []
        self.provider = Ledger(folder / "sms.ndjson")
        self._producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
        self._todo: deque[Consumed] = deque()
        self._out = Out()
        self._subscriptions = Table()
        seen, subscriptions = SeenEvents(app(), keep_s=60.0), Subscriptions(app())
        seen.table, subscriptions.table = Table(), self._subscriptions  # type: ignore[assignment]
        metrics = Metrics(CollectorRegistry())
        halt = Halt(metrics.halted)
        engine = Engine(drain_timeout_s=5.0, halt=halt, is_member=lambda: True, end=_end)
        self._in_flight = engine.in_flight
        self._in_flight.share_window([topics.STATUS, topics.STATUS_AGAIN], 1_000)
        self._enricher = Enricher(
            engine=engine,
            out=self._out,
            seen=seen,
            subscriptions=subscriptions,
            renderer=Renderer(templates.load()),
            policy=EnrichPolicy(expire_after_s=60.0, waits=2),
            tiers_s=TIERS_S,
            partitions=4,
            catch_up=read_to_the_end,
            guard=DeadLetterGuard(DeadLetterPolicy(consecutive=1_000, ratio=1.0, window=1_000), halt),
            metrics=metrics,
            clock_ms=now_ms,
        )

    def publish(self, document: Document) -> None:
        headers: Headers = [(ID_HEADER, document.id.encode())]
        if document.content_type is not None:
            headers.append(("content-type", document.content_type))
        consumed = self._put(Record(topics.STATUS, document.shipment.key, document.value, headers))
        self._note(
            Line(kind=document.kind, id=document.id, shipment=document.shipment.id, at=0, told=Told.OK), consumed
        )

    def subscribe(self, shipment: Shipment) -> None:
        """The subscription is in the topic, and not in the table before `follow`."""
        line = Line(
            kind=Kind.SUBSCRIPTION,
            id=shipment.id,
            shipment=shipment.id,
            at=0,
            told=Told.OK,
            recipients=tuple(one.id for one in shipment.people),
            channels=shipment.channels,
        )
        self._note(line, self._put(Record(topics.SUBSCRIPTIONS, shipment.key, shipment.subscription())))

    def follow(self, shipment: Shipment) -> None:
        for partition in range(4):
            self._subscriptions.stored[partition][shipment.key] = shipment.subscription()

    def _note(self, line: Line, at: Consumed) -> None:
        self.lines.append(msgspec.structs.replace(line, topic=at.topic, partition=at.partition, offset=at.offset))

    async def work(self, answers: Sequence[Answer], *, records: int | None = None) -> None:
        """So many records, or all; the provider gives these answers, then accepts."""
        told = deque(answers)
        while self._todo and records != 0:
            one = self._todo.popleft()
            for record in await self._step(one, told):
                self._put(record)
            records = None if records is None else records - 1

    async def _step(self, one: Consumed, answers: deque[Answer]) -> list[Record]:
        match one.topic.split("."):
            case ["cargo" | "herald", "status", _]:
                arrived = self._in_flight.admit(TP(one.topic, one.partition), [one])
                await self._enricher.process(Turn([arrived]))
                records, self._out.records = self._out.records, []
                return [record for record in records if not record.topic.endswith("changelog")]
            case ["herald", "retry", *_]:
                due_ms, record = delay.reader(now_ms)(one)
                await asyncio.sleep(max(0, due_ms - now_ms()) / 1000)
                return [record]
            case ["herald", "sms" | "email" | "push", *_]:
                return self._send(one, answers.popleft() if answers else ACCEPTED)
            case ["herald", "outcomes", _]:
                self.outcomes.append(msgspec.json.decode(one.value or b"", type=Outcome))
            case ["herald", "ledger", _]:
                self.events.append(msgspec.json.decode(one.value or b"", type=EventRecord))
        return []

    def _send(self, one: Consumed, answer: Answer) -> list[Record]:
        sending = read(one, fetch(one), now_ms())
        assert isinstance(sending, Sending)
        told = sending.notification
        result = Result.ACCEPTED if isinstance(answer, Accepted) else Result.FAILED
        self.provider.record(self.provider.begin_request(), told.id, told.address, told.body, result)
        verdict = judge(answer, told, sending.trail, now_ms=now_ms(), policy=POLICY, chance=0.0)
        return records_of([(sending, verdict)], POLICY.provider)

    def _put(self, record: Record) -> Consumed:
        delivered: list[Message] = []

        def heard(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            delivered.append(message)

        self._producer.produce(record.topic, record.value, record.key, on_delivery=heard, headers=record.headers)
        assert self._producer.flush(TIMEOUT_S) == 0
        at = cast(Any, delivered[0])
        headers = [(name, value.encode() if isinstance(value, str) else value) for name, value in record.headers or []]
        consumed = Consumed(
            record.topic, at.partition(), at.offset(), record.key, record.value, headers, at.timestamp()[1]
        )
        if record.topic != topics.SUBSCRIPTIONS:
            self._todo.append(consumed)
        return consumed
