"""What had become of what a worker that is gone had claimed? What it left in the topics says so, where it came so far.

Between a durable outcome, or a durable wait for another attempt, and the end of its claim a worker may die. What it was
sending is in doubt then, but its fate is known: it must neither be sent again nor end a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

import msgspec

import topics
from agents.sending import Sending
from pipeline import trail as trails
from pipeline.claims import Windows, merged
from pipeline.errors import InvalidInput
from pipeline.notifications import Channel
from streaming.engine import Engine

# Clocks of workers differ, and jump.
MARGIN_MS = 10_000

ReadBetween = Callable[[Sequence[str], int, int, Callable[[Any], None]], Awaitable[None]]


class _Named(msgspec.Struct, frozen=True):
    id: str


_named = msgspec.json.Decoder(_Named)


class Aftermath:
    """Of one channel. ``read_between`` as `streaming.between.read_between` has it; ``engine`` for its tasks.

    What came of a claim may have been written ``later_s`` after the claim itself: after a wait for the group, a call,
    and its way to the broker.
    """

    def __init__(
        self,
        engine: Engine,
        channel: Channel,
        *,
        tiers_s: Sequence[float],
        later_s: float,
        read_between: ReadBetween,
    ) -> None:
        self._engine = engine
        # As our own encoder writes it: most outcomes are other channels'.
        self._mark = f'"channel":"{channel}"'.encode()
        self._topics = [topics.OUTCOMES, *map(topics.retry, tiers_s)]
        self._later_ms = round(1000 * later_s) + MARGIN_MS
        self._read_between = read_between
        self._reading: asyncio.Task[None] | None = None
        # When each notification is due again, if it is known to wait; never, if it has ended.
        self._due_ms: dict[str, float] = {}

    def begin(self, windows: Windows) -> None:
        """Partitions were taken over; within these times what is in doubt was under way. Empty where nothing is."""
        if self._reading is not None:
            self._reading.cancel()
        self._due_ms = {}
        self._reading = self._engine.spawn(self._read(windows)) if windows else None

    def forget(self) -> None:
        """Nothing is in doubt any more: what was read, every outcome of some minutes perhaps, is of no use."""
        self._due_ms = {}

    async def is_known(self, one: Sending) -> bool:
        """Whether the attempt has led to an outcome or a wait already. Raises Unread."""
        if self._reading is not None:
            await asyncio.shield(self._reading)
        return self._due_ms.get(one.notification.id, 0.0) > one.trail.due_ms

    async def _read(self, windows: Windows) -> None:
        due_ms: dict[str, float] = {}

        def note(record: Any) -> None:
            value = record.value() or b""
            if record.topic() == topics.OUTCOMES:
                if self._mark in value:
                    due_ms[(record.key() or b"").decode(errors="replace")] = inf
                return
            try:
                id = _named.decode(value).id
                due = trails.read(record.headers(), record.timestamp()[1]).due_ms
            except (msgspec.DecodeError, UnicodeDecodeError, InvalidInput):
                return  # an event that waits for its subscription, or nothing of ours
            due_ms[id] = max(due, due_ms.get(id, 0.0))

        for begin_ms, end_ms in merged((begin - MARGIN_MS, end + self._later_ms) for begin, end in windows):
            await self._read_between(self._topics, begin_ms, end_ms, note)
        self._due_ms = due_ms
