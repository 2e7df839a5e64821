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
from pipeline.errors import InvalidInput
from streaming.engine import Engine

# Clocks of workers differ, and jump.
MARGIN_MS = 10_000

ReadTail = Callable[[Sequence[str], int, Callable[[Any], None]], Awaitable[None]]


class _Named(msgspec.Struct, frozen=True):
    id: str


_named = msgspec.json.Decoder(_Named)


class Aftermath:
    """``read_tail`` as `streaming.tail.read_tail` has it; ``engine`` for its tasks."""

    def __init__(self, engine: Engine, *, tiers_s: Sequence[float], read_tail: ReadTail) -> None:
        self._engine = engine
        self._topics = [topics.OUTCOMES, *map(topics.retry, tiers_s)]
        self._read_tail = read_tail
        self._reading: asyncio.Task[None] | None = None
        # When each notification is due again, if it is known to wait; never, if it has ended.
        self._due_ms: dict[str, float] = {}

    def begin(self, since_ms: int | None) -> None:
        """Partitions were taken over whose oldest claim in doubt was made at ``since_ms``; None where nothing is."""
        if self._reading is not None:
            self._reading.cancel()
        self._due_ms = {}
        self._reading = None if since_ms is None else self._engine.spawn(self._read(since_ms - MARGIN_MS))

    async def is_known(self, one: Sending) -> bool:
        """Whether the attempt has led to an outcome or a wait already. Raises TailUnread."""
        if self._reading is not None:
            await asyncio.shield(self._reading)
        return self._due_ms.get(one.notification.id, 0.0) > one.trail.due_ms

    async def _read(self, since_ms: int) -> None:
        due_ms: dict[str, float] = {}

        def note(record: Any) -> None:
            if record.topic() == topics.OUTCOMES:
                due_ms[(record.key() or b"").decode(errors="replace")] = inf
                return
            try:
                id = _named.decode(record.value() or b"").id
                due = trails.read(record.headers(), since_ms + 2 * trails.MAX_DUE_AHEAD_MS).due_ms
            except (msgspec.DecodeError, UnicodeDecodeError, InvalidInput):
                return  # an event that waits for its subscription, or nothing of ours
            due_ms[id] = max(due, due_ms.get(id, 0.0))

        await self._read_tail(self._topics, since_ms, note)
        self._due_ms = due_ms
