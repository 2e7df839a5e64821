"""Which call is made next? Urgent before bulk, within the calls allowed, none that the circuit does not let through.

- Some of the calls are for urgent alone while urgent comes, and one of them always: the first urgent message after a
  silence waits for no bulk. Beyond those urgent takes what bulk could have had, a call for a few messages where bulk
  would fill it: the more of them it has, the longer its batches wait to be full.
- While the circuit is open nothing is called; messages stay in their queues, and with full queues nothing more is
  fetched: their partitions stand still.
- A probe is one message, of another recipient each time, and of each lane in turn: one that never works must not keep
  the provider from being asked.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.batching import BatchPolicy, Item, LaneQueue
from pipeline.circuit import Circuit, CircuitPolicy, CircuitState, was_served
from pipeline.errors import Unavailable
from pipeline.notifications import Lane
from pipeline.ports import SendResult

T = TypeVar("T")

# Urgent messages less than this apart are a stream of them, for which bulk leaves calls free in between.
URGENT_COMES_FOR_S = 60.0


@dataclass(frozen=True, kw_only=True)
class CallPolicy:
    """``calls`` at once, ``for_urgent`` of them for urgent alone while it comes."""

    calls: int
    for_urgent: int


@dataclass(slots=True, eq=False)
class Call(Generic[T]):
    """A batch on its way to the provider. Ends in `Dispatch.release`, then `Dispatch.settle`, however it comes."""

    lane: Lane
    items: list[Item[T]]
    probe: bool
    answered: bool = field(default=False)


class Dispatch(Generic[T]):
    """The queues of one channel and the circuit of its provider; ``now`` is in seconds of one clock."""

    def __init__(self, batches: BatchPolicy, calls: CallPolicy, circuit: CircuitPolicy) -> None:
        self._calls = calls
        self._circuit = Circuit(circuit)
        self._bulk_probes_first = False
        self._urgent_at = -math.inf
        # Urgent first: the order in which calls are given out.
        self._queues: dict[Lane, LaneQueue[T]] = {Lane.URGENT: LaneQueue(batches), Lane.BULK: LaneQueue(batches)}

    @property
    def circuit(self) -> CircuitState:
        return self._circuit.state

    def push(self, lane: Lane, item: Item[T]) -> None:
        self._queues[lane].push(item)
        if lane is Lane.URGENT:
            self._urgent_at = item.queued_at

    def clear(self) -> None:
        """Forget what waits; calls under way are released as ever."""
        for queue in self._queues.values():
            queue.clear()

    def next(self, now: float) -> Call[T] | float | None:
        """A call to make now, or the seconds until there may be one; None while only something new can bring one."""
        if not any(map(len, self._queues.values())):
            return None
        wait_s = self._circuit.opens_in(now)
        if wait_s != 0:
            return wait_s
        soonest: float | None = None
        for lane, queue in self._in_turn():
            if not self._has_room(lane, now):
                continue
            while (due_in := queue.due_in(now, lingers=self._lingers(lane))) == 0:
                if items := queue.take(None if self.circuit is CircuitState.CLOSED else 1):
                    return Call(lane, items, self._circuit.begin())
            if due_in is not None:
                soonest = due_in if soonest is None else min(soonest, due_in)
        return soonest

    def _in_turn(self) -> list[tuple[Lane, LaneQueue[T]]]:
        lanes = list(self._queues.items())
        bulk_first = self._bulk_probes_first and self.circuit is not CircuitState.CLOSED
        return lanes[::-1] if bulk_first else lanes

    def _has_room(self, lane: Lane, now: float) -> bool:
        urgent, bulk = (self._queues[one].calls for one in (Lane.URGENT, Lane.BULK))
        # What urgent has of its own need not be left free for it.
        return bulk + (urgent if lane is Lane.URGENT else max(urgent, self._kept(now))) < self._calls.calls

    def _kept(self, now: float) -> int:
        comes = now < self._urgent_at + URGENT_COMES_FOR_S
        return self._calls.for_urgent if comes else min(1, self._calls.for_urgent)

    def _lingers(self, lane: Lane) -> int:
        if lane is Lane.BULK or not self._queues[Lane.BULK]:
            return 1
        return max(1, self._queues[lane].calls - self._calls.for_urgent + 1)

    def answer(self, call: Call[T], results: Sequence[SendResult], now: float) -> None:
        """What the provider said to the call, so that the circuit learns of it."""
        call.answered = True
        asked_s = max((one.retry_after_s or 0.0 for one in results if isinstance(one, Unavailable)), default=0.0)
        self._circuit.end(was_served(results), now, probe=call.probe, asked_s=asked_s)

    def costs_nothing(self, result: SendResult) -> bool:
        """Whether the message was certainly not told by a provider that is known to be down: it goes back in line."""
        return isinstance(result, Unavailable) and self.circuit is not CircuitState.CLOSED

    def release(self, call: Call[T], now: float, again: Iterable[Item[T]] = ()) -> None:
        """The call is answered, or not made, and its keys are free; ``again`` of its messages are to be sent anew."""
        if call.probe and not call.answered:
            self._circuit.abandon(now)
        queue, back = self._queues[call.lane], list(again)
        queue.release(call.items, back)
        if call.probe:
            for item in back:
                queue.move_back(item.key)
            self._bulk_probes_first = bool(back) and call.lane is Lane.URGENT

    def settle(self, call: Call[T]) -> None:
        """What it came to is durable, or nothing will be."""
        self._queues[call.lane].settle()
