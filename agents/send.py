"""Notifications in; provider calls; outcomes, retries and dead letters out.

lanes ─► parse ─► queue of its lane ─► batch ─► claim (awaited) ─► provider ─► judge ─► produce (awaited) ─► done
                        ▲────────── certainly not told, and the circuit is open ─────────┘
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec
import structlog
from faust.types import StreamT
from faust.types.tuples import TP

import topics
from agents.aftermath import Aftermath
from agents.guard import DeadLetterGuard
from agents.recent import Recent
from agents.sending import Sending, Unsendable, attempt_of, read, records_of
from observability.metrics import Metrics
from pipeline.batching import Item
from pipeline.circuit import CircuitState
from pipeline.delivery import DeadLetterReason, SendPolicy, Verdict, before_sending, conclude, judge
from pipeline.dispatch import Call, Dispatch
from pipeline.errors import Unconfirmed
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Status
from pipeline.ports import Provider, SendResult
from streaming.app import ConsumerApp
from streaming.engine import Engine
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from streaming.watchdog import Patience
from tables.claims import Claims

log = structlog.get_logger(__name__)

# On top of the provider's own time limit, which gives the better answer.
GRACE_S = 1.0
RENEW_EVERY_S = 1.0
# About what enrich makes of a full window for one lane partition: a crash may make it do so again.
LOOK_BACK = 5_000

Batch = list[Item[Sending]]
Judged = list[tuple[Sending, Verdict]]


class Sender:
    """Takes records of one channel as they come and keeps up to so many calls under way."""

    def __init__(
        self,
        *,
        engine: Engine,
        out: RecordSink,
        claims: Claims,
        aftermath: Aftermath,
        provider: Provider,
        policy: SendPolicy,
        dispatch: Dispatch[Sending],
        call_timeout_s: float,
        guard: DeadLetterGuard,
        patience: Patience,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._out = out
        self._claims = claims
        self._aftermath = aftermath
        self._provider = provider
        self._policy = policy
        self._dispatch = dispatch
        self._call_timeout_s = call_timeout_s
        self._guard = guard
        self._patience = patience
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._chance = chance
        self._recent = Recent()
        self._circuit = dispatch.circuit
        self._wake = asyncio.Event()

    async def offer(self, lane: Lane, fetches: Sequence[Fetch]) -> None:
        """Queue what is to be sent; finish at once what was dealt with before, or is no notification."""
        now_ms, now = self._clock_ms(), time.monotonic()
        for fetch in fetches:
            if not fetch.live:
                continue
            refused: list[Record] = []
            passed = spoilt = 0
            done = self._claims.done(fetch.tp)
            for record in fetch.records:
                if record.offset in done:
                    self.remember(fetch.tp, [record])
                    passed += 1
                    continue
                sending = read(record, fetch, now_ms)
                if isinstance(sending, Unsendable):
                    refused += sending.records
                    spoilt += 1
                    continue
                if self._recent.meet(sending.notification.id, sending.trail, fetch.tp, record.offset):
                    self._metrics.duplicates("send", 1)
                    passed += 1
                    continue
                self._dispatch.push(lane, Item(record.key, len(record.value), now, sending))
            if refused:
                await self._out.send_all(refused)
                self._metrics.dead_lettered(Counter({DeadLetterReason.INVALID_INPUT: spoilt}))
            if passed or spoilt:
                self._engine.in_flight.finish(fetch, passed + spoilt)
        self._wake.set()

    def remember(self, tp: TP, records: Sequence[Any]) -> None:
        """Attempts that were dealt with before this worker had the partition: they may come again at later offsets."""
        for record in records:
            if (attempt := attempt_of(record)) is not None:
                self._recent.meet(*attempt, tp, record.offset)

    def forget(self) -> None:
        """The partitions are gone: what waits here comes back from the committed offsets."""
        self._dispatch.clear()

    async def start(self) -> None:
        self._metrics.circuit(self._provider.channel, self._provider.name, self._circuit)
        self._giving_out = self._engine.spawn(self._give_out_calls())

    async def stop(self) -> None:
        self._giving_out.cancel()

    async def _give_out_calls(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), self._start_calls())
            except TimeoutError:
                continue
            self._wake.clear()

    def _start_calls(self) -> float | None:
        """Start every call that is due and has room; returns the seconds until the next is due."""
        while not self._engine.halted:
            due = self._dispatch.next(time.monotonic())
            if isinstance(due, Call):
                self._tell_of_circuit()
                self._engine.spawn(self._deliver(due))
            elif self._circuit is CircuitState.CLOSED or due is None:
                return due
            else:
                # Waiting for the provider is not being stuck.
                self._patience.renew()
                return min(due, RENEW_EVERY_S)
        return None

    async def _deliver(self, call: Call[Sending]) -> None:
        with ExitStack() as slot, ExitStack() as keys:
            slot.callback(self._settle, call)
            keys.callback(self._release, call)
            with self._engine.work():
                if not (items := _live(call.items)):
                    return
                self._metrics.in_flight(self._provider.channel, self._engine.in_flight.records())
                known, unknown = await self._parted(items)
                claimed = await self._claims.claim(_offsets(items))
                # A worker that was frozen since may not be the one to send these any more.
                await self._engine.membership()
                if not _live(items):
                    return
                judged, again = await self._tell(call, unknown)
                # Frozen in the call: whoever took over decides what is in doubt, and a second word would contradict it.
                await self._engine.membership()
                if not _live(items):
                    return
                # The keys are free as soon as the provider has answered, not when Kafka has.
                keys.pop_all()
                self._release(call, again)
                await self._out.send_all(self._records(judged))
                await self._claims.finish(claimed, _offsets(again))
                finished = [*(item.value for item in known), *(one for one, _ in judged)]
                for fetch, count in Counter(one.fetch for one in finished).items():
                    self._engine.in_flight.finish(fetch, count)
                ended = [verdict for _, verdict in judged if verdict.outcome is not None]
                self._guard.note(
                    len(ended),
                    dead=sum(verdict.dead_letter is not None for verdict in ended),
                    bugs=sum(verdict.dead_letter is DeadLetterReason.BUG for verdict in ended),
                )

    def _settle(self, call: Call[Sending]) -> None:
        self._dispatch.settle(call)
        self._wake.set()

    def _release(self, call: Call[Sending], again: Iterable[Item[Sending]] = ()) -> None:
        self._dispatch.release(call, time.monotonic(), again)
        self._tell_of_circuit()
        self._wake.set()

    async def _parted(self, items: Batch) -> tuple[Batch, Batch]:
        """Those whose fate is known though their claim was left behind, and those that are to be sent."""
        if not self._claims.has_doubts:
            return [], items
        known: Batch = []
        unknown: Batch = []
        for item in items:
            in_doubt = self._claims.is_in_doubt(item.value.fetch.tp, item.value.record.offset)
            (known if in_doubt and await self._aftermath.is_known(item.value) else unknown).append(item)
        if known:
            self._metrics.duplicates("send", len(known))
        return known, unknown

    async def _tell(self, call: Call[Sending], items: Batch) -> tuple[Judged, Batch]:
        """A verdict for each, in any order, but for those that cost nothing and go back in line.

        What must not be sent any more is not.
        """
        now_ms = self._clock_ms()
        judged: Judged = []
        to_send: Batch = []
        doubted: list[Sending] = []
        has_doubts = self._claims.has_doubts
        for item in items:
            one = item.value
            claimed = has_doubts and self._claims.is_in_doubt(one.fetch.tp, one.record.offset)
            outcome = before_sending(one.notification, one.trail, claimed=claimed, now_ms=now_ms, policy=self._policy)
            if claimed:
                doubted.append(one)
                item = _doubted(item)
            if outcome is None:
                to_send.append(item)
            else:
                judged.append((item.value, Verdict(outcome=outcome)))
        self._doubt(doubted, now_ms)
        again: Batch = []
        if to_send:
            results = await self._call(call, [item.value for item in to_send])
            now_ms = self._clock_ms()
            for item, result in zip(to_send, results, strict=True):
                if self._dispatch.costs_nothing(result):
                    again.append(item)
                else:
                    judged.append((item.value, self._judge(item.value, result, now_ms)))
        return judged, again

    async def _call(self, call: Call[Sending], sendings: Sequence[Sending]) -> Sequence[SendResult]:
        notifications = [one.notification for one in sendings]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._call_timeout_s + GRACE_S):
                results = await self._provider.send(notifications)
            if len(results) != len(notifications):
                raise ValueError(f"{len(results)} results for {len(notifications)} messages")
        except Exception as bug:  # adapters do not raise: whether this call told anybody is not known
            log.exception("provider adapter failed", provider=self._provider.name)
            results = [Unconfirmed(f"the adapter failed: {type(bug).__name__}")] * len(notifications)
        self._dispatch.answer(call, results, time.monotonic())
        self._tell_of_circuit()
        in_doubt = [one for one, result in zip(sendings, results, strict=True) if isinstance(result, Unconfirmed)]
        self._doubt(in_doubt, self._clock_ms())
        self._metrics.call(
            self._provider.channel,
            self._provider.name,
            results,
            sum(len(one.record.value) for one in sendings),
            time.perf_counter() - started,
        )
        return results

    def _tell_of_circuit(self) -> None:
        """Once per change."""
        before, self._circuit = self._circuit, self._dispatch.circuit
        if self._circuit is before:
            return
        names = {"channel": self._provider.channel, "provider": self._provider.name}
        self._metrics.circuit(self._provider.channel, self._provider.name, self._circuit)
        if before is CircuitState.CLOSED:
            self._metrics.circuit_opened(self._provider.channel, self._provider.name)
            log.warning("circuit opened", **names)
        elif self._circuit is CircuitState.CLOSED:
            log.warning("circuit closed", **names)

    def _doubt(self, sendings: Sequence[Sending], now_ms: int) -> None:
        again = Counter(self._policy.may_send_again(one.notification, now_ms) for one in sendings)
        for may, notifications in again.items():
            self._metrics.in_doubt(self._provider.channel, "send-again" if may else "give-up", notifications)

    def _judge(self, one: Sending, result: SendResult, now_ms: int) -> Verdict:
        try:
            return judge(result, one.notification, one.trail, now_ms=now_ms, policy=self._policy, chance=self._chance())
        except Exception as bug:  # a bug in a decision is that notification's technical failure
            log.exception("no verdict", notification_id=one.notification.id)
            outcome = conclude(
                one.notification,
                Status.TECHNICAL_FAILURE,
                now_ms,
                attempts=one.trail.attempts + 1,
                provider=self._provider.name,
                reason=type(bug).__name__,
            )
            return Verdict(outcome=outcome, dead_letter=DeadLetterReason.BUG)

    def _records(self, verdicts: Judged) -> list[Record]:
        self._metrics.outcomes([verdict.outcome for _, verdict in verdicts if verdict.outcome])
        tiers = Counter(topics.tier_name(verdict.retry.tier_s) for _, verdict in verdicts if verdict.retry)
        for tier, notifications in tiers.items():
            self._metrics.retried(self._provider.channel, tier, notifications)
        self._metrics.dead_lettered(Counter(verdict.dead_letter for _, verdict in verdicts if verdict.dead_letter))
        return records_of(verdicts, self._provider.name)


def _live(items: Batch) -> Batch:
    """Without what came before its partition was taken away: that is somebody else's now."""
    return [item for item in items if item.value.fetch.live]


def _doubted(item: Item[Sending]) -> Item[Sending]:
    one = item.value
    trail = msgspec.structs.replace(one.trail, in_doubt=True)
    return msgspec.structs.replace(item, value=msgspec.structs.replace(one, trail=trail))


def _offsets(items: Iterable[Item[Sending]]) -> dict[TP, list[int]]:
    offsets: dict[TP, list[int]] = defaultdict(list)
    for item in items:
        offsets[item.value.fetch.tp].append(item.value.record.offset)
    return offsets


def define(
    app: ConsumerApp, sender: Sender, claims: Claims, aftermath: Aftermath, channel: Channel, *, window: int
) -> None:
    """An agent for each lane, each with a window of its own: a flood of bulk leaves urgent's empty."""

    def taken_over(assigned: frozenset[TP]) -> None:
        claims.load(assigned)
        aftermath.begin(claims.windows())

    app.engine.on_assigned(taken_over)
    app.engine.on_revoked(sender.forget)

    def agent(lane: Lane) -> None:
        app.engine.on_history(topics.lane(channel, lane), LOOK_BACK, sender.remember)

        @app.agent(app.batched_topic(topics.lane(channel, lane), window=window), name=f"send-{lane}")
        async def send(stream: StreamT[Any]) -> None:
            await app.engine.feed(stream, partial(sender.offer, lane))

    for lane in Lane:
        agent(lane)
