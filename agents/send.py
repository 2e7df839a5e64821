"""Notifications in; provider calls; outcomes, retries and dead letters out.

lanes ─► parse ─► queue of its lane ─► batch ─► claim (awaited) ─► provider ─► judge ─► produce (awaited) ─► done
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import structlog
from faust.types import StreamT
from faust.types.tuples import TP

import topics
from agents.recent import Recent
from agents.sending import Sending, Unsendable, attempt_of, read, records_of
from observability.metrics import Metrics
from pipeline.batching import BatchPolicy, Item, LaneQueue
from pipeline.delivery import DeadLetterReason, SendPolicy, Verdict, before_sending, conclude, judge
from pipeline.errors import Unconfirmed
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Status
from pipeline.ports import Provider, SendResult
from streaming.app import ConsumerApp
from streaming.engine import Engine
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from tables.claims import Claims

log = structlog.get_logger(__name__)

# On top of the provider's own time limit, which gives the better answer.
GRACE_S = 1.0
# About what enrich makes of a full window for one lane partition: a crash may make it do so again.
LOOK_BACK = 5_000

Batch = list[Item[Sending]]


@dataclass(frozen=True, kw_only=True)
class CallPolicy:
    """``calls`` at once; bulk leaves ``for_urgent`` of them free; a call ends after ``timeout_s``."""

    calls: int
    for_urgent: int
    timeout_s: float


class Sender:
    """Takes records of one channel as they come and keeps up to so many calls under way."""

    def __init__(
        self,
        *,
        engine: Engine,
        out: RecordSink,
        claims: Claims,
        provider: Provider,
        policy: SendPolicy,
        batches: BatchPolicy,
        calls: CallPolicy,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._out = out
        self._claims = claims
        self._provider = provider
        self._policy = policy
        self._calls = calls
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._chance = chance
        self._recent = Recent()
        # Urgent first: the order in which calls are given out.
        self._queues: Mapping[Lane, LaneQueue[Sending]] = {
            Lane.URGENT: LaneQueue(batches),
            Lane.BULK: LaneQueue(batches),
        }
        self._wake = asyncio.Event()

    async def offer(self, lane: Lane, fetches: Sequence[Fetch]) -> None:
        """Queue what is to be sent; finish at once what was dealt with before, or is no notification."""
        now_ms, now = self._clock_ms(), time.monotonic()
        queue = self._queues[lane]
        for fetch in fetches:
            if not fetch.live:
                continue
            refused: list[Record] = []
            passed = spoilt = 0
            for record in fetch.records:
                if self._claims.is_done(fetch.tp, record.offset):
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
                queue.push(Item(record.key, len(record.value), now, sending))
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
        for queue in self._queues.values():
            queue.clear()

    async def start(self) -> None:
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
        soonest: float | None = None
        for lane, queue in self._queues.items():
            while self._has_room(lane):
                due_in = queue.due_in(time.monotonic())
                if due_in == 0:
                    if batch := queue.take():
                        self._engine.spawn(self._deliver(queue, batch))
                    continue
                if due_in is not None:
                    soonest = due_in if soonest is None else min(soonest, due_in)
                break
        return soonest

    def _has_room(self, lane: Lane) -> bool:
        under_way = sum(queue.calls for queue in self._queues.values())
        return under_way < self._calls.calls - (self._calls.for_urgent if lane is Lane.BULK else 0)

    async def _deliver(self, queue: LaneQueue[Sending], batch: Batch) -> None:
        with ExitStack() as call:
            call.callback(self._release, queue, batch)
            with self._engine.work():
                # What came before the partitions were taken away is somebody else's now.
                sendings = [item.value for item in batch if item.value.fetch.live]
                if not sendings:
                    return
                self._metrics.in_flight(self._provider.channel, self._engine.in_flight.records())
                claimed = await self._claims.claim(_offsets(sendings))
                verdicts = await self._tell(sendings)
                # The keys and the call are free as soon as the provider has answered, not when Kafka has.
                call.close()
                await self._out.send_all(self._records(verdicts))
                await self._claims.finish(claimed)
                for fetch, count in Counter(one.fetch for one in sendings).items():
                    self._engine.in_flight.finish(fetch, count)

    def _release(self, queue: LaneQueue[Sending], batch: Batch) -> None:
        queue.release(batch)
        self._wake.set()

    async def _tell(self, sendings: Sequence[Sending]) -> list[tuple[Sending, Verdict]]:
        """A verdict for each, in any order; what must not be sent any more is not."""
        now_ms = self._clock_ms()
        verdicts: list[tuple[Sending, Verdict]] = []
        to_send: list[Sending] = []
        doubted = 0
        for one in sendings:
            claimed = self._claims.is_in_doubt(one.fetch.tp, one.record.offset)
            outcome = before_sending(one.notification, one.trail, claimed=claimed, now_ms=now_ms, policy=self._policy)
            if claimed:
                doubted += 1
                one = replace(one, trail=msgspec.structs.replace(one.trail, in_doubt=True))
            if outcome is None:
                to_send.append(one)
            else:
                verdicts.append((one, Verdict(outcome=outcome)))
        if doubted:
            self._doubt(doubted)
        if to_send:
            results = await self._call(to_send)
            now_ms = self._clock_ms()
            verdicts += [(one, self._judge(one, result, now_ms)) for one, result in zip(to_send, results, strict=True)]
        return verdicts

    async def _call(self, sendings: Sequence[Sending]) -> Sequence[SendResult]:
        notifications = [one.notification for one in sendings]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._calls.timeout_s + GRACE_S):
                results = await self._provider.send(notifications)
            if len(results) != len(notifications):
                raise ValueError(f"{len(results)} results for {len(notifications)} messages")
        except Exception as bug:  # adapters do not raise: whether this call told anybody is not known
            log.exception("provider adapter failed", provider=self._provider.name)
            results = [Unconfirmed(f"the adapter failed: {type(bug).__name__}")] * len(notifications)
        if in_doubt := sum(isinstance(result, Unconfirmed) for result in results):
            self._doubt(in_doubt)
        self._metrics.call(
            self._provider.channel,
            self._provider.name,
            results,
            sum(len(one.record.value) for one in sendings),
            time.perf_counter() - started,
        )
        return results

    def _doubt(self, notifications: int) -> None:
        decision = "send-again" if self._policy.resend_in_doubt else "give-up"
        self._metrics.in_doubt(self._provider.channel, decision, notifications)

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

    def _records(self, verdicts: Sequence[tuple[Sending, Verdict]]) -> list[Record]:
        self._metrics.outcomes([verdict.outcome for _, verdict in verdicts if verdict.outcome])
        tiers = Counter(topics.tier_name(verdict.retry.tier_s) for _, verdict in verdicts if verdict.retry)
        for tier, notifications in tiers.items():
            self._metrics.retried(self._provider.channel, tier, notifications)
        self._metrics.dead_lettered(Counter(verdict.dead_letter for _, verdict in verdicts if verdict.dead_letter))
        return [record for one, verdict in verdicts for record in records_of(one, verdict, self._provider.name)]


def _offsets(sendings: Sequence[Sending]) -> dict[TP, list[int]]:
    offsets: dict[TP, list[int]] = defaultdict(list)
    for one in sendings:
        offsets[one.fetch.tp].append(one.record.offset)
    return offsets


def define(app: ConsumerApp, sender: Sender, claims: Claims, channel: Channel, *, window: int) -> None:
    """An agent for each lane, each with a window of its own: a flood of bulk leaves urgent's empty."""

    app.engine.on_assigned(claims.load)
    app.engine.on_revoked(sender.forget)

    def agent(lane: Lane) -> None:
        app.engine.on_history(topics.lane(channel, lane), LOOK_BACK, sender.remember)

        @app.agent(app.batched_topic(topics.lane(channel, lane), window=window), name=f"send-{lane}")
        async def send(stream: StreamT[Any]) -> None:
            await app.engine.feed(stream, partial(sender.offer, lane))

    for lane in Lane:
        agent(lane)
