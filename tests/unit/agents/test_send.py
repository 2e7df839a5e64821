"""Sending: claimed before told, accounted before finished, and no record stops another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import msgspec
import pytest
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

import topics
from agents.aftermath import Aftermath
from agents.circuit_log import CircuitLog
from agents.guard import DeadLetterGuard
from agents.send import Sender
from agents.sending import Sending
from agents.telling import Teller
from observability.metrics import Metrics
from pipeline import trail as trails
from pipeline.batching import BatchPolicy
from pipeline.circuit import CircuitPolicy
from pipeline.deadletter_limits import DeadLetterPolicy
from pipeline.delivery import SendPolicy
from pipeline.dispatch import CallPolicy, Dispatch
from pipeline.errors import PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Channel, Lane, Notification
from pipeline.ports import Accepted, SendResult
from pipeline.retry import RetryPolicy
from pipeline.trail import Trail
from streaming.engine import Engine
from streaming.halt import Halt
from streaming.inflight import Fetch
from streaming.producer import Record
from streaming.watchdog import Patience
from tables.claims import Claims
from tests.fakes import (
    T0,
    T0_MS,
    Clock,
    Consumed,
    FakeProvider,
    Journal,
    Membership,
    Out,
    Table,
    app,
    notification,
    turns,
    until,
)

BULK = topics.lane(Channel.SMS, Lane.BULK)
URGENT = topics.lane(Channel.SMS, Lane.URGENT)
HERE = TP(BULK, 0)
RETRY = RetryPolicy(tiers_s=(30.0, 120.0), attempts=2, total_s=86_400.0, jitter=0.0)
CLAIMS = "claims-changelog"


class Role:
    """A send role's inside, for one life of its worker; `after_a_crash` makes the next from what a SIGKILL leaves."""

    def __init__(self, metrics: Metrics, clock: Clock, engine: Engine, journal: Journal) -> None:
        self.metrics, self.clock, self.engine = metrics, clock, engine
        self.journal = journal
        self.out = Out(journal)
        self.provider = FakeProvider(journal)
        self.table = Table(CLAIMS)
        self.committed: dict[TP, int] = {}
        self.tail: list[Record] = []
        self.send_again = False
        self.key_lifetime_s = 0.0
        self.calls = CallPolicy(calls=4, for_urgent=2)
        self.call_timeout_s = 5.0
        self.circuit = CircuitPolicy(failures=3, wait_s=0.01, longest_wait_s=0.02)
        self.limits = DeadLetterPolicy(consecutive=10, ratio=1.0, window=1_000)
        self.patience = Patience(60.0)
        self.batches = BatchPolicy(messages=2, size_bytes=1 << 20, linger_s=0.0)
        # Set when the test is.
        self.over = asyncio.Event()

    async def start(self) -> None:
        self.engine.in_flight.share_window([BULK], 1_000)
        self.engine.in_flight.share_window([URGENT], 1_000)
        self.claims = Claims(app(), self.out, committed=self.committed.get, clock_ms=self.clock)
        self.claims.table = self.table  # type: ignore[assignment]
        self.aftermath = Aftermath(
            self.engine, Channel.SMS, tiers_s=RETRY.tiers_s, later_s=60.0, read_between=self.read_between
        )
        self.take_over()
        dispatch: Dispatch[Sending] = Dispatch(self.batches, self.calls, self.circuit)
        circuit_log = CircuitLog(dispatch, Channel.SMS, "fake", self.metrics)
        teller = Teller(
            provider=self.provider,
            policy=SendPolicy(
                retry=RETRY, provider="fake", send_again=self.send_again, key_lifetime_s=self.key_lifetime_s
            ),
            dispatch=dispatch,
            circuit_log=circuit_log,
            call_timeout_s=self.call_timeout_s,
            metrics=self.metrics,
            clock_ms=self.clock,
            chance=lambda: 0.0,
        )
        self.sender = Sender(
            engine=self.engine,
            out=self.out,
            claims=self.claims,
            aftermath=self.aftermath,
            teller=teller,
            dispatch=dispatch,
            circuit_log=circuit_log,
            guard=DeadLetterGuard(self.limits, self.engine.halt),
            patience=self.patience,
            metrics=self.metrics,
            clock_ms=self.clock,
        )
        await self.sender.start()

    def take_over(self) -> None:
        self.claims.load([TP(topic, partition) for topic in (BULK, URGENT) for partition in range(4)])
        self.aftermath.begin(self.claims.windows())

    async def read_between(
        self, names: Sequence[str], begin_ms: int, end_ms: int, on_record: Callable[[object], None]
    ) -> None:
        assert begin_ms <= self.clock() <= end_ms
        await asyncio.sleep(0)
        for one in self.tail:
            if one.topic in names:
                on_record(Produced(one))

    async def restart(self) -> None:
        """The same worker gets its partitions back, having drained or not."""
        self.engine.reset()
        self.sender.forget()
        self.take_over()
        self.engine.assigned(frozenset())

    async def offer(self, *records: Consumed, lane: Lane = Lane.BULK) -> Fetch:
        fetch = self.engine.in_flight.admit(TP(records[0].topic, records[0].partition), records)
        with self.engine.work():
            await self.sender.offer(lane, [fetch])
        return fetch

    async def sent(self, *records: Consumed, lane: Lane = Lane.BULK) -> None:
        """Offer, and wait until everything is finished."""
        await self.offer(*records, lane=lane)
        await self.settled()

    async def settled(self) -> None:
        await until(lambda: self.engine.in_flight.records() == 0)

    def statuses(self) -> dict[object, object]:
        return {one["notification_id"]: one["status"] for one in self.out.values(topics.OUTCOMES)}


@pytest.fixture
async def role(metrics: Metrics, clock: Clock, engine: Engine, journal: Journal) -> AsyncIterator[Role]:
    role = Role(metrics, clock, engine, journal)
    await role.start()
    yield role
    role.over.set()
    role.provider.open.set()
    await role.sender.stop()
    await engine.drain()


def record(
    offset: int, id: str | None = None, *, topic: str = BULK, trail: Trail | None = None, **fields: object
) -> Consumed:
    told = notification(id or f"n-{offset}", **({"recipient": f"r-{offset}"} | fields))
    headers = trails.write(trail) if trail else []
    return Consumed(topic, 0, offset, told.recipient.encode(), msgspec.json.encode(told), headers)  # type: ignore[arg-type]


class Produced:
    """A record as librdkafka shows it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> object:
        return self._record.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, T0_MS


async def after_a_crash(role: Role, **settings: object) -> Role:
    """A worker with the tables and the topics that the first one leaves behind."""
    second = Role(role.metrics, role.clock, another_engine(role), [])
    for partition, rows in role.table.stored.items():
        second.table.stored[partition] = dict(rows)
    second.tail = list(role.out.records)
    for name, value in settings.items():
        setattr(second, name, value)
    await second.start()
    return second


def another_engine(role: Role) -> Engine:
    return Engine(drain_timeout_s=5.0, halt=Halt(role.metrics.halted), is_member=lambda: True, end=role.engine._end)


def held_back(role: Role, topic: str) -> asyncio.Event:
    """Kafka takes no record of the topic, nor what is sent along with it, until this is set."""
    acknowledged = asyncio.Event()
    at_once = role.out.send_all

    async def slowly(records: Sequence[Record]) -> dict[int, int]:
        if any(one.topic == topic for one in records):
            await acknowledged.wait()
        return await at_once(records)

    role.out.send_all = slowly  # type: ignore[method-assign]
    return acknowledged


def answering(*results: SendResult) -> object:
    return lambda notifications: list(results)[: len(notifications)]


async def test_claim_then_call_then_outcome(role: Role) -> None:
    await role.sent(record(0))
    assert role.journal == [
        f"produced {CLAIMS}",
        "provider called",
        "provider answered",
        f"produced {topics.OUTCOMES}",
    ]
    assert role.statuses() == {"n-0": "sent"}
    assert role.engine.in_flight.watermarks() == {HERE: 1}


async def test_the_provider_is_not_called_before_the_claim_is_durable(role: Role) -> None:
    acknowledged = held_back(role, CLAIMS)
    await role.offer(record(0))
    await turns()
    assert role.provider.calls == []
    acknowledged.set()
    await role.settled()
    assert role.provider.told == ["n-0"]


async def test_nothing_is_finished_before_its_outcome_is_durable(role: Role) -> None:
    acknowledged = held_back(role, topics.OUTCOMES)
    await role.offer(record(0))
    await until(lambda: "provider answered" in role.journal)
    await turns()
    assert (role.statuses(), role.engine.in_flight.watermarks()) == ({}, {})
    assert role.engine.in_flight.records() == 1
    acknowledged.set()
    await role.settled()
    assert role.statuses() == {"n-0": "sent"}
    assert role.engine.in_flight.watermarks() == {HERE: 1}


async def test_an_outcome_counts_when_it_is_durable(role: Role, registry: CollectorRegistry) -> None:
    """Else a worker that ends here and its successor would both count it, and the account would not close."""

    def counted() -> float | None:
        labels = {"channel": "sms", "provider": "fake", "status": "sent"}
        return registry.get_sample_value("herald_outcomes_total", labels)

    acknowledged = held_back(role, topics.OUTCOMES)
    await role.offer(record(0))
    await until(lambda: "provider answered" in role.journal)
    await turns()
    assert not counted()
    acknowledged.set()
    await role.settled()
    assert counted() == 1


async def test_a_notification_whose_headers_cannot_be_read_has_ended_and_counts(
    role: Role, registry: CollectorRegistry
) -> None:
    broken = record(0)._replace(headers=[("herald-attempts", b"many")])
    await role.sent(broken, record(1))
    assert role.statuses() == {"n-0": "technical-failure", "n-1": "sent"}
    labels = {"channel": "sms", "provider": "none", "status": "technical-failure"}
    assert registry.get_sample_value("herald_outcomes_total", labels) == 1


async def test_what_is_in_flight_is_shown_until_it_is_settled(role: Role, registry: CollectorRegistry) -> None:
    def shown() -> float | None:
        return registry.get_sample_value("herald_notifications_in_flight", {"channel": "sms"})

    role.provider.open.clear()
    await role.offer(record(0), record(1))
    await until(lambda: bool(role.provider.calls))
    assert shown() == 2
    role.provider.open.set()
    await until(lambda: shown() == 0)


@pytest.mark.parametrize(
    ("result", "resend", "status", "tier"),
    [
        pytest.param(TransientError("busy"), False, None, "herald.retry.30s.v1", id="busy: later"),
        pytest.param(TransientError("busy", retry_after_s=31), False, None, "herald.retry.120s.v1", id="as asked for"),
        pytest.param(Throttled("slow"), False, None, "herald.retry.30s.v1", id="throttled: later"),
        pytest.param(PermanentError("gone"), False, "permanent-failure", None, id="never: final"),
        pytest.param(Unconfirmed("lost"), False, "unconfirmed", None, id="in doubt, not twice: final"),
        pytest.param(Unconfirmed("lost"), True, None, "herald.retry.30s.v1", id="in doubt, rather twice: later"),
    ],
)
async def test_an_answer_becomes_an_outcome_or_a_wait(
    role: Role, result: SendResult, resend: bool, status: str | None, tier: str | None
) -> None:
    role.send_again = resend
    await role.sender.stop()
    await role.start()
    role.provider.answer = answering(result)  # type: ignore[assignment]
    await role.sent(record(0))
    assert role.statuses() == ({"n-0": status} if status else {})
    assert [one.topic for one in role.out.records if "retry" in one.topic] == ([tier] if tier else [])


async def test_a_record_that_waits_keeps_its_bytes_its_key_and_its_origin(role: Role) -> None:
    role.provider.answer = answering(Throttled("slow down", retry_after_s=40))  # type: ignore[assignment]
    await role.sent(record(7))
    (waiting,) = role.out.on("herald.retry.120s.v1")
    assert (waiting.key, waiting.value) == (record(7).key, record(7).value)
    trail = trails.read(waiting.headers, T0_MS)  # type: ignore[arg-type]
    assert (trail.target, trail.due_ms, trail.attempts) == (BULK, T0_MS + 120_000, 0)
    assert (trail.origin_topic, trail.origin_partition, trail.origin_offset) == (BULK, 0, 7)
    assert (trail.error, trail.provider, trail.in_doubt) == ("slow down", "fake", False)


async def test_spent_attempts_end_in_an_outcome_and_a_dead_letter_with_the_first_coordinates(role: Role) -> None:
    role.provider.answer = answering(TransientError("busy", code="503"))  # type: ignore[assignment]
    been = Trail(attempts=1, origin_topic="first", origin_offset=3, first_seen_ms=9)
    await role.sent(record(0, trail=been))
    assert role.statuses() == {"n-0": "temporary-failure"}
    (dead,) = role.out.on(topics.DLQ)
    trail = trails.read(dead.headers, T0_MS)  # type: ignore[arg-type]
    assert dead.value == record(0).value
    assert (trail.reason, trail.error) == ("retries-exhausted", "503: after 2 attempts: busy")
    assert (trail.attempts, trail.origin_topic, trail.origin_offset, trail.first_seen_ms) == (2, "first", 3, 9)


def raises(_: Sequence[Notification]) -> Sequence[SendResult]:
    raise RuntimeError("a bug in the adapter")


def too_few(notifications: Sequence[Notification]) -> Sequence[SendResult]:
    return [Accepted("r")] * (len(notifications) - 1)


def too_many(notifications: Sequence[Notification]) -> Sequence[SendResult]:
    return [Accepted("r")] * (len(notifications) + 1)


@pytest.mark.parametrize("broken", [raises, too_few, too_many])
async def test_an_adapter_that_breaks_its_contract_leaves_doubt_and_not_a_dead_worker(
    role: Role, broken: object
) -> None:
    role.provider.answer = broken  # type: ignore[assignment]
    await role.sent(record(0), record(1))
    assert role.statuses() == {"n-0": "unconfirmed", "n-1": "unconfirmed"}
    role.provider.answer = lambda some: [Accepted("r") for _ in some]
    await role.sent(record(2))
    assert role.statuses()["n-2"] == "sent"


async def test_a_result_that_is_none_of_the_known_ones_ends_its_notification_alone(role: Role) -> None:
    role.provider.answer = answering("accepted?", Accepted("r"))  # type: ignore[arg-type,assignment]
    await role.sent(record(0), record(1))
    assert role.statuses() == {"n-0": "technical-failure", "n-1": "sent"}
    assert [trails.read(one.headers, T0_MS).reason for one in role.out.on(topics.DLQ)] == ["bug"]  # type: ignore[arg-type]


async def test_a_provider_that_never_answers_is_given_up_on(role: Role) -> None:
    role.call_timeout_s = -0.95  # the grace on top makes it 50 ms
    await role.sender.stop()
    await role.start()
    role.provider.open.clear()
    await role.sent(record(0))
    assert role.statuses() == {"n-0": "unconfirmed"}


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        pytest.param(None, [], id="null"),
        pytest.param(b"", [], id="empty"),
        pytest.param(b"{", [], id="no JSON"),
        pytest.param(b"[" * 100_000, [], id="nested for ever"),
        pytest.param(b'{"id":"\xff"}', [], id="not UTF-8"),
        pytest.param(b'{"id":1}', [], id="wrong types"),
        pytest.param(record(0).value.replace(b"2026-11-23T12:00:00Z", b"2026-11-23T12:00:00"), [], id="a naive time"),  # type: ignore[union-attr]
        pytest.param(record(0).value, [("herald-attempts", b"many")], id="hostile headers"),
        pytest.param(record(0).value, [("herald-due-ms", b"9" * 15)], id="due in ages"),
    ],
)
async def test_what_is_no_notification_is_set_aside_and_the_rest_flows_on(
    role: Role, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    await role.sent(record(0), Consumed(BULK, 0, 1, b"k", value, headers, timestamp=-1), record(2))
    assert role.statuses() == {"n-0": "sent", "n-2": "sent"}
    (dead,) = role.out.on(topics.DLQ)
    trail = trails.read(dead.headers, T0_MS)  # type: ignore[arg-type]
    assert (dead.key, dead.value) == (b"k", value)
    assert (trail.reason, trail.origin_topic, trail.origin_offset) == ("invalid-input", BULK, 1)
    assert role.engine.in_flight.watermarks() == {HERE: 3}


async def test_stale_news_is_not_told(role: Role) -> None:
    await role.sent(record(0, expires_at=T0 - timedelta(seconds=1)), record(1))
    assert role.statuses() == {"n-0": "expired", "n-1": "sent"}
    assert role.provider.told == ["n-1"]


async def test_a_repeat_of_enrich_is_told_once(role: Role) -> None:
    await role.sent(record(0, "same", recipient="a"))
    await role.sent(record(1, "same", recipient="a"))
    assert role.provider.told == ["same"]
    assert role.engine.in_flight.watermarks() == {HERE: 2}


async def test_a_retry_is_no_repeat(role: Role) -> None:
    await role.sent(record(0, "same"))
    await role.sent(record(1, "same", trail=Trail(attempts=1, due_ms=T0_MS)))
    await role.sent(record(2, "same", trail=Trail(attempts=1, due_ms=T0_MS + 1)))
    assert role.provider.told == ["same"] * 3


async def test_a_record_that_comes_back_after_a_rebalance_is_no_repeat(role: Role) -> None:
    """It had been queued and not claimed: nobody was told yet."""
    await role.engine.drain()
    fetch = role.engine.in_flight.admit(HERE, [record(0)])
    await role.sender.offer(Lane.BULK, [fetch])
    await turns()
    assert role.provider.calls == []
    await role.restart()
    await role.sent(record(0))
    assert role.provider.told == ["n-0"]


async def test_what_was_done_before_a_crash_is_not_told_again(role: Role) -> None:
    await role.sent(record(0), record(1))
    await role.restart()
    await role.sent(record(0), record(1), record(2))
    assert role.provider.told == ["n-0", "n-1", "n-2"]
    assert role.engine.in_flight.watermarks() == {HERE: 3}


async def test_a_repeat_of_what_was_done_before_a_crash_is_not_told_again(role: Role) -> None:
    """Enrich and this worker die together: what enrich makes again comes at another offset, to an empty memory."""
    await role.sent(record(0, "same", recipient="a"))
    second = Role(role.metrics, role.clock, another_engine(role), [])
    for partition, rows in role.table.stored.items():
        second.table.stored[partition] = dict(rows)
    await second.start()
    await second.sent(record(0, "same", recipient="a"), record(1, "same", recipient="a"))
    assert second.provider.told == []
    assert second.engine.in_flight.watermarks() == {HERE: 2}
    await second.sender.stop()


@pytest.mark.parametrize(
    ("resend", "told", "status"),
    [
        pytest.param(False, ["n-0"], "unconfirmed", id="rather not twice"),
        pytest.param(True, ["n-0", "n-0"], "sent", id="rather twice than not"),
    ],
)
async def test_a_call_that_a_crash_cut_short_is_in_doubt(
    role: Role, resend: bool, told: list[str], status: str
) -> None:
    """The first life claims and calls; the changelog is all that the second one knows of it."""
    role.provider.open.clear()
    await role.offer(record(0))
    await until(lambda: bool(role.provider.calls))
    second = await after_a_crash(role, send_again=resend)
    await second.sent(record(0), record(1))
    assert role.provider.told + [one for one in second.provider.told if one == "n-0"] == told
    assert second.statuses() == {"n-0": status, "n-1": "sent"}
    assert {one["attempts"] for one in second.out.values(topics.OUTCOMES)} == {1}, "made again, it is the same attempt"
    assert not second.claims.has_doubts, "it has been decided on"
    await second.sender.stop()


async def test_a_doubt_is_decided_on_once_however_often_the_provider_is_away(
    role: Role, registry: CollectorRegistry
) -> None:
    role.provider.open.clear()
    await role.offer(record(0))
    await until(lambda: bool(role.provider.calls))
    second = await after_a_crash(role, send_again=True, circuit=CircuitPolicy(failures=1, wait_s=0.0, longest_wait_s=0))
    second.provider.answer = down
    await second.offer(record(0))
    await until(lambda: len(second.provider.calls) >= 5)
    second.provider.answer = accept_all
    await second.settled()
    (ended,) = second.out.values(topics.OUTCOMES)
    assert (ended["status"], ended["attempts"]) == ("sent", 1)
    doubts = {"channel": "sms", "decision": "send-again"}
    assert registry.get_sample_value("herald_in_doubt_total", doubts) == 1
    await second.sender.stop()


async def test_bulk_leaves_calls_to_urgent(role: Role) -> None:
    role.provider.open.clear()
    await role.offer(record(0, "u-0", topic=URGENT), lane=Lane.URGENT)
    await until(lambda: len(role.provider.calls) == 1)
    await role.offer(*(record(offset) for offset in range(20)))
    await until(lambda: len(role.provider.calls) == 3)
    await turns()
    assert len(role.provider.calls) == 3, "four calls, two of them urgent's"
    await role.offer(*(record(offset, f"u-{offset}", topic=URGENT) for offset in range(1, 3)), lane=Lane.URGENT)
    await until(lambda: len(role.provider.calls) == 4)
    assert role.provider.told[5:] == ["u-1", "u-2"]
    role.provider.open.set()
    await role.settled()
    assert len(role.statuses()) == 23


async def test_one_recipients_messages_go_one_call_after_the_other(role: Role) -> None:
    role.provider.open.clear()
    await role.offer(*(record(offset, recipient="anna") for offset in range(3)), record(3, recipient="boris"))
    await until(lambda: len(role.provider.calls) == 2)
    assert role.provider.calls == [["n-0", "n-1"], ["n-3"]]
    role.provider.open.set()
    await role.settled()
    assert role.provider.calls[2:] == [["n-2"]]


async def test_keys_are_free_when_the_provider_has_answered_not_when_kafka_has(role: Role) -> None:
    acknowledged = held_back(role, topics.OUTCOMES)
    await role.offer(*(record(offset, recipient="anna") for offset in range(4)))
    await until(lambda: len(role.provider.calls) == 2)
    assert role.engine.in_flight.records() == 4
    acknowledged.set()
    await role.settled()


async def test_a_call_that_may_not_begin_any_more_gives_its_keys_back(role: Role) -> None:
    await role.engine.drain()
    fetch = role.engine.in_flight.admit(HERE, [record(0, recipient="anna")])
    await role.sender.offer(Lane.BULK, [fetch])
    await until(lambda: all(queue.calls == 0 and not len(queue) for queue in role.sender._dispatch._queues.values()))
    await role.restart()
    await role.sent(record(0, recipient="anna"), record(1, recipient="anna"))
    assert role.provider.told == ["n-0", "n-1"]


async def test_partitions_that_go_during_a_call_wait_for_it(role: Role) -> None:
    role.provider.open.clear()
    await role.offer(record(0))
    await until(lambda: bool(role.provider.calls))
    drain = asyncio.create_task(role.engine.drain())
    await turns()
    assert not drain.done()
    role.provider.open.set()
    await asyncio.wait_for(drain, 5)
    assert role.engine.in_flight.watermarks() == {HERE: 1}


def down(notifications: Sequence[Notification]) -> Sequence[SendResult]:
    return [Unavailable("no connection")] * len(notifications)


def accept_all(notifications: Sequence[Notification]) -> Sequence[SendResult]:
    return [Accepted("r")] * len(notifications)


async def test_a_provider_that_is_down_costs_attempts_only_until_its_circuit_opens(role: Role) -> None:
    """Three calls of two open it; the rest waits in line and is told when the provider is back."""
    role.provider.answer = down
    await role.offer(*map(record, range(20)))
    await until(lambda: len(role.provider.calls) >= 8)
    waiting = role.out.on("herald.retry.30s.v1")
    assert 4 <= len(waiting) <= 6, "those whose calls opened the circuit"
    assert role.statuses() == {}
    assert all(len(call) == 1 for call in role.provider.calls[5:]), "from then on, probes"
    role.provider.answer = accept_all
    await role.settled()
    assert sorted(role.statuses().values()) == ["sent"] * (20 - len(waiting))  # type: ignore[type-var]
    attempts = {value["attempts"] for value in role.out.values(topics.OUTCOMES)}
    assert attempts == {1}, "probes that failed cost nothing"


async def test_the_log_says_why_a_circuit_opened(role: Role) -> None:
    """No waiting mends a 401: that must not look like a provider that is down."""
    refused = Unavailable("the provider answered 401", code="401")
    role.provider.answer = lambda some: [refused] * len(some)
    with capture_logs() as logs:
        await role.offer(*map(record, range(20)))
        await until(lambda: any(one["event"] == "circuit opened" for one in logs))
    (opened,) = [one for one in logs if one["event"] == "circuit opened"]
    assert opened["reason"] == "401: the provider answered 401"
    role.provider.answer = accept_all
    await role.settled()


async def test_what_an_open_circuit_holds_back_is_not_in_doubt_after_a_crash(role: Role) -> None:
    role.provider.answer = down
    await role.offer(*map(record, range(20)))
    await until(lambda: len(role.provider.calls) >= 8)
    role.provider.answer = accept_all
    await until(lambda: bool(role.statuses()))
    await role.engine.drain()
    await role.restart()
    held_back = [offset for offset in range(20) if f"n-{offset}" not in role.statuses()]
    assert not any(role.claims.is_in_doubt(HERE, offset) for offset in held_back)


async def test_waiting_for_a_provider_is_not_being_stuck(role: Role, clock: Clock) -> None:
    role.patience = Patience(1.0, clock.seconds)
    await role.sender.stop()
    await role.start()
    role.provider.answer = down
    await role.offer(*map(record, range(20)))
    await until(lambda: len(role.provider.calls) >= 8)
    role.patience.look(HERE, 0, has_work=True)
    clock.advance(5.0)
    assert role.patience.is_over()
    await until(lambda: not role.patience.is_over())


async def test_a_worker_that_the_group_has_given_up_makes_no_call(role: Role, membership: Membership) -> None:
    """Frozen between its claim and its call: somebody else may have the partition by now."""
    claimed = role.claims.claim

    async def then_freeze(offsets: dict[TP, list[int]]) -> object:
        made = await claimed(offsets)
        membership.held = False
        return made

    role.claims.claim = then_freeze  # type: ignore[assignment,method-assign]
    await role.offer(record(0))
    await until(lambda: not membership.held)
    await turns()
    assert role.provider.calls == []
    role.claims.claim = claimed  # type: ignore[method-assign]
    await role.engine.drain()
    await role.restart()
    membership.held = True
    assert role.claims.is_in_doubt(HERE, 0)


async def test_a_worker_that_was_only_cut_off_goes_on_where_it_was(role: Role, membership: Membership) -> None:
    membership.held = False
    await role.offer(record(0))
    await turns()
    assert role.provider.calls == []
    membership.held = True
    await role.settled()
    assert role.statuses() == {"n-0": "sent"}


def nonsense(notifications: Sequence[Notification]) -> list[str]:
    return ["accepted?"] * len(notifications)


async def test_too_many_dead_letters_halt_the_role(role: Role) -> None:
    role.limits = DeadLetterPolicy(consecutive=4, ratio=1.0, window=1_000)
    await role.sender.stop()
    await role.start()
    role.provider.answer = nonsense  # type: ignore[assignment]
    await role.offer(*map(record, range(20)))
    await until(lambda: role.engine.halt.reason is not None)
    await turns()
    told = len(role.provider.calls)
    assert role.engine.halt.reason == "4 bugs in a row"
    assert len(role.out.on(topics.DLQ)) < 20
    await role.offer(record(20))
    await turns()
    assert len(role.provider.calls) == told


async def test_a_key_that_the_provider_still_honours_is_sent_again_after_a_crash(role: Role) -> None:
    """Only while it certainly lives: it is no older than its notification."""
    role.key_lifetime_s = 60.0
    role.provider.open.clear()
    young, old = record(0), record(1, created_at=T0 - timedelta(seconds=61))
    await role.offer(young, old)
    await until(lambda: bool(role.provider.calls))
    second = await after_a_crash(role, key_lifetime_s=60.0)
    await second.sent(young, old)
    assert second.provider.told == ["n-0"]
    assert second.statuses() == {"n-0": "sent", "n-1": "unconfirmed"}
    await second.sender.stop()


async def die_with_the_claim_unfinished(role: Role, *records: Consumed) -> None:
    """What the answer led to is durable; the row that says so is not."""

    async def never(*_: object) -> None:
        await role.over.wait()

    role.claims.finish = never  # type: ignore[assignment,method-assign]
    produced = len(role.out.records)
    await role.offer(*records)
    await until(lambda: any("claims" not in one.topic for one in role.out.records[produced:]))


@pytest.mark.parametrize("send_again", [True, False])
async def test_what_has_ended_is_neither_told_again_nor_ended_again(role: Role, send_again: bool) -> None:
    await die_with_the_claim_unfinished(role, record(0))
    second = await after_a_crash(role, send_again=send_again)
    assert second.claims.is_in_doubt(HERE, 0)
    await second.sent(record(0))
    assert (second.provider.told, second.statuses()) == ([], {})
    assert second.engine.in_flight.watermarks() == {HERE: 1}
    await second.sender.stop()


@pytest.mark.parametrize("send_again", [True, False])
async def test_what_waits_already_is_not_tried_before_it_is_due(role: Role, send_again: bool) -> None:
    role.provider.answer = lambda some: [TransientError("busy")] * len(some)
    await die_with_the_claim_unfinished(role, record(0))
    second = await after_a_crash(role, send_again=send_again)
    await second.sent(record(0))
    assert (second.provider.told, second.statuses()) == ([], {})
    waited = Trail(attempts=1, due_ms=T0_MS + 30_000)
    await second.sent(record(1, "n-0", trail=waited))
    assert second.provider.told == ["n-0"]
    await second.sender.stop()


async def test_a_wait_of_before_says_nothing_of_the_attempt_that_followed_it(role: Role) -> None:
    """It was due, came back, was claimed, and the worker died in the call."""
    due = Trail(attempts=1, due_ms=T0_MS)
    role.provider.open.clear()
    await role.offer(record(5, "n-0", trail=due))
    await until(lambda: bool(role.provider.calls))
    waited = Record("herald.retry.30s.v1", b"k", record(0, "n-0").value, trails.write(due))
    role.out.records.append(waited)
    second = await after_a_crash(role, send_again=True)
    await second.sent(record(5, "n-0", trail=due))
    assert second.provider.told == ["n-0"]
    await second.sender.stop()


async def test_a_worker_frozen_in_its_call_leaves_the_last_word_to_its_successor(
    role: Role, membership: Membership
) -> None:
    """It wakes up with an answer, and its partition is somebody else's: the claim says in doubt, and that stands."""
    role.provider.open.clear()
    await role.offer(record(0))
    await until(lambda: bool(role.provider.calls))
    membership.held = False
    role.provider.open.set()
    await turns()
    await role.engine.drain()
    await role.restart()
    membership.held = True
    await turns()
    assert role.statuses() == {}
    assert role.claims.is_in_doubt(HERE, 0)


async def test_retries_have_not_ended_and_break_no_row_of_bugs(role: Role) -> None:
    role.limits = DeadLetterPolicy(consecutive=3, ratio=1.0, window=1_000)
    await role.sender.stop()
    await role.start()
    role.provider.answer = (
        lambda some: [  # type: ignore[assignment]
            "accepted?" if int(one.id[2:]) % 2 else TransientError("busy") for one in some
        ]
    )
    await role.offer(*map(record, range(8)))
    await until(lambda: role.engine.halt.reason is not None)
