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
from faust.types import StreamT
from faust.types.tuples import TP

import topics
from agents.aftermath import Aftermath
from agents.circuit_log import CircuitLog
from agents.guard import DeadLetterGuard
from agents.recent import Recent
from agents.sending import Sending, Unsendable, attempt_of, read
from agents.telling import Batch, Teller
from agents.turn import RECORDS_AT_ONCE
from observability.metrics import Metrics
from pipeline.batching import Item
from pipeline.circuit import CircuitState
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.dispatch import Call, Dispatch
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome
from streaming.app import ConsumerApp
from streaming.engine import Engine
from streaming.inflight import Fetch
from streaming.producer import Record, RecordSink
from streaming.records import FetchedRecord
from streaming.watchdog import Patience
from tables.claims import Claims

RENEW_EVERY_S = 1.0


class Sender:
    """Takes records of one channel as they come and keeps up to so many calls under way."""

    def __init__(
        self,
        *,
        engine: Engine,
        out: RecordSink,
        claims: Claims,
        aftermath: Aftermath,
        teller: Teller,
        dispatch: Dispatch[Sending],
        circuit_log: CircuitLog,
        guard: DeadLetterGuard,
        patience: Patience,
        metrics: Metrics,
        clock_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._out = out
        self._claims = claims
        self._aftermath = aftermath
        self._teller = teller
        self._dispatch = dispatch
        self._circuit_log = circuit_log
        self._guard = guard
        self._patience = patience
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._recent = Recent()
        self._wake = asyncio.Event()

    async def offer(self, lane: Lane, fetches: Sequence[Fetch]) -> None:
        """Queue what is to be sent; finish at once what was dealt with before, or is no notification."""
        now_ms, now = self._clock_ms(), time.monotonic()
        for fetch in fetches:
            if not fetch.live:
                continue
            refused: list[Record] = []
            failed: list[Outcome] = []
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
                    failed += [sending.outcome] if sending.outcome else []
                    spoilt += 1
                    continue
                if self._recent.meet(sending.notification.id, sending.trail, fetch.tp, record.offset):
                    self._metrics.duplicates("send", 1)
                    passed += 1
                    continue
                self._dispatch.push(lane, Item(record.key, len(record.value or b""), now, sending))
            if refused:
                await self._out.send_all(refused)
                self._metrics.outcomes(failed)
                self._metrics.dead_lettered(Counter({DeadLetterReason.INVALID_INPUT: spoilt}))
            if passed or spoilt:
                self._engine.in_flight.finish(fetch, passed + spoilt)
        self._wake.set()

    def remember(self, tp: TP, records: Sequence[FetchedRecord]) -> None:
        """Attempts that were dealt with before this worker had the partition: they may come again at later offsets."""
        for record in records:
            if (attempt := attempt_of(record)) is not None:
                self._recent.meet(*attempt, tp, record.offset)

    def forget(self) -> None:
        """The partitions are gone: what waits here comes back from the committed offsets."""
        self._dispatch.clear()

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
        while not self._engine.halt.reason:
            due = self._dispatch.next(time.monotonic())
            if isinstance(due, Call):
                self._circuit_log.look()
                self._engine.spawn(self._deliver(due))
            elif self._dispatch.circuit is CircuitState.CLOSED or due is None:
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
                self._show_in_flight()
                known, unknown = await self._parted(items)
                claimed = await self._claims.claim(_offsets(items))
                # A worker that was frozen since may not be the one to send these any more.
                await self._engine.membership()
                if not _is_live(items):
                    return
                judged, again = await self._teller.tell(call, unknown)
                # Frozen in the call: whoever took over decides what is in doubt, and a second word would contradict it.
                await self._engine.membership()
                if not _is_live(items):
                    return
                # The keys are free as soon as the provider has answered, not when Kafka has.
                keys.pop_all()
                self._release(call, again)
                await self._out.send_all(self._teller.records(judged))
                self._teller.count(judged)
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
        self._show_in_flight()
        self._wake.set()

    def _show_in_flight(self) -> None:
        self._metrics.in_flight(self._teller.channel, self._engine.in_flight.records())

    def _release(self, call: Call[Sending], again: Iterable[Item[Sending]] = ()) -> None:
        self._dispatch.release(call, time.monotonic(), again)
        self._circuit_log.look()
        self._wake.set()

    async def _parted(self, items: Batch) -> tuple[Batch, Batch]:
        """Those whose fate is known though their claim was left behind, and those that are to be sent."""
        if not self._claims.has_doubts:
            return [], items
        known: Batch = []
        unknown: Batch = []
        doubted: Batch = []
        for item in items:
            one = item.value
            if not self._claims.is_in_doubt(one.fetch.tp, one.record.offset):
                unknown.append(item)
                continue
            doubted.append(item)
            if await self._aftermath.is_known(one):
                known.append(item)
            else:
                unknown.append(msgspec.structs.replace(item, value=one.doubted()))
        if _is_live(doubted):
            self._claims.settle(_offsets(doubted))
            if not self._claims.has_doubts:
                self._aftermath.forget()
        if known:
            self._metrics.duplicates("send", len(known))
        return known, unknown


def _live(items: Batch) -> Batch:
    """Without what came before its partition was taken away: that is somebody else's now."""
    return [item for item in items if item.value.fetch.live]


def _is_live(items: Batch) -> bool:
    """Whether they still are this worker's: partitions are taken away all at once."""
    return any(item.value.fetch.live for item in items)


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
        # What is committed may lie before a loss, and what was done beyond it.
        app.fetch_consumer.look_for_loss(claims.reached())
        if not app.halt.reason:
            aftermath.begin(claims.windows())

    app.engine.on_assigned(taken_over)
    app.engine.on_revoked(sender.forget)

    def agent(lane: Lane) -> None:
        app.engine.on_history(topics.lane(channel, lane), RECORDS_AT_ONCE, sender.remember)

        @app.agent(app.batched_topic(topics.lane(channel, lane), window=window), name=f"send-{lane}")
        async def send(stream: StreamT[Any]) -> None:
            await app.engine.feed(stream, partial(sender.offer, lane))

    for lane in Lane:
        agent(lane)
