"""What does one provider call tell, and what is the verdict on each of its messages?"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import structlog

import topics
from agents.circuit_log import CircuitLog
from agents.sending import Sending, records_of
from observability.metrics import Metrics
from pipeline.batching import Item
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.delivery import SendPolicy, Verdict, before_sending, judge
from pipeline.dispatch import Call, Dispatch
from pipeline.errors import Unconfirmed
from pipeline.outcomes import Status, conclude
from pipeline.ports import Provider, SendResult
from streaming.producer import Record

log = structlog.get_logger(__name__)

# On top of the provider's own time limit, which gives the better answer.
GRACE_S = 1.0

Batch = list[Item[Sending]]
Judged = list[tuple[Sending, Verdict]]


class Teller:
    """The provider of one channel."""

    def __init__(
        self,
        *,
        provider: Provider,
        policy: SendPolicy,
        dispatch: Dispatch[Sending],
        circuit_log: CircuitLog,
        call_timeout_s: float,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self.channel = provider.channel
        self._provider = provider
        self._policy = policy
        self._dispatch = dispatch
        self._circuit_log = circuit_log
        self._call_timeout_s = call_timeout_s
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._chance = chance

    async def tell(self, call: Call[Sending], items: Batch) -> tuple[Judged, Batch]:
        """A verdict for each, in any order, but for those that cost nothing and go back in line.

        What must not be sent any more is not.
        """
        now_ms = self._clock_ms()
        judged: Judged = []
        to_send: Batch = []
        for item in items:
            one = item.value
            outcome = before_sending(
                one.notification, one.trail, cut_short=one.cut_short, now_ms=now_ms, policy=self._policy
            )
            if outcome is None:
                to_send.append(item)
            else:
                judged.append((one, Verdict(outcome=outcome)))
        self._doubt([item.value for item in items if item.value.cut_short], now_ms)
        again: Batch = []
        if to_send:
            results = await self._call(call, [item.value for item in to_send])
            now_ms = self._clock_ms()
            for item, result in zip(to_send, results, strict=True):
                if self._dispatch.costs_nothing(result):
                    again.append(_decided(item))
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
        self._circuit_log.look(results)
        in_doubt = [one for one, result in zip(sendings, results, strict=True) if isinstance(result, Unconfirmed)]
        self._doubt(in_doubt, self._clock_ms())
        self._metrics.call(
            self._provider.channel,
            self._provider.name,
            results,
            sum(len(one.record.value or b"") for one in sendings),
            time.perf_counter() - started,
        )
        return results

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

    def records(self, verdicts: Judged) -> list[Record]:
        """What the verdicts call for."""
        return records_of(verdicts, self._provider.name)

    def count(self, verdicts: Judged) -> None:
        """What they call for is durable."""
        self._metrics.outcomes([verdict.outcome for _, verdict in verdicts if verdict.outcome])
        tiers = Counter(topics.tier_name(verdict.retry.tier_s) for _, verdict in verdicts if verdict.retry)
        for tier, notifications in tiers.items():
            self._metrics.retried(self._provider.channel, tier, notifications)
        self._metrics.dead_lettered(Counter(verdict.dead_letter for _, verdict in verdicts if verdict.dead_letter))


def _decided(item: Item[Sending]) -> Item[Sending]:
    """What was cut short is decided on once, however often it goes back in line."""
    if not item.value.cut_short:
        return item
    return msgspec.structs.replace(item, value=msgspec.structs.replace(item.value, cut_short=False))
