"""Which messages go into the next provider call?

- A batch is due when it is full (count or bytes), when its oldest message has waited for some lingers, or at once while
  no call of its lane is under way: batching costs nothing without load.
- Messages of one key never travel in two calls at once: a later one waits until the earlier call is answered. Within a
  batch they keep their order, which the provider keeps too.
- A call counts as under way until what it came to is durable: what a crash may repeat is bounded by their number.
- Urgent goes first, and bulk leaves it some of the calls.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BatchPolicy:
    messages: int
    size_bytes: int
    linger_s: float


class Item(msgspec.Struct, Generic[T]):
    """A message that waits; ``queued_at`` is in seconds of any one clock."""

    key: Hashable
    size: int
    queued_at: float
    value: T


class LaneQueue(Generic[T]):
    """The messages of one lane, in order; the caller's clock and calls."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._ready: deque[Item[T]] = deque()
        self._bytes = 0
        self._behind: dict[Hashable, deque[Item[T]]] = {}
        self._busy: set[Hashable] = set()
        self.calls = 0

    def __len__(self) -> int:
        """How many messages could go into a batch now; those behind a call of their own key are not counted."""
        return len(self._ready)

    def push(self, item: Item[T]) -> None:
        self._ready.append(item)
        self._bytes += item.size

    def due_in(self, now: float, *, lingers: int = 1) -> float | None:
        """Seconds until a batch is due: 0 if it is, None while there is nothing to wait for."""
        if not self._ready:
            return None
        full = len(self._ready) >= self._policy.messages or self._bytes >= self._policy.size_bytes
        if full or not self.calls:
            return 0.0
        return max(0.0, self._ready[0].queued_at + lingers * self._policy.linger_s - now)

    def take(self, most: int | None = None) -> list[Item[T]]:
        """The next batch, of at most ``most`` messages, whose keys are busy until `release`.

        Empty where every message waits behind a call.
        """
        batch: list[Item[T]] = []
        size = 0
        limit = self._policy.messages if most is None else most
        while self._ready and len(batch) < limit:
            item = self._ready[0]
            if item.key in self._busy:
                self._behind.setdefault(item.key, deque()).append(self._pop())
                continue
            if batch and size + item.size > self._policy.size_bytes:
                break
            batch.append(self._pop())
            size += item.size
        if batch:
            self.calls += 1
            self._busy.update(item.key for item in batch)
        return batch

    def _pop(self) -> Item[T]:
        item = self._ready.popleft()
        self._bytes -= item.size
        return item

    def settle(self) -> None:
        """What a call came to is durable: another one may be under way."""
        self.calls -= 1

    def release(self, batch: list[Item[T]], again: Sequence[Item[T]] = ()) -> None:
        """The call is answered: ``again`` of it, and what waited behind its keys, go to the front, in order."""
        keys = {item.key for item in batch}
        self._busy -= keys
        waited = [*again, *(item for key in keys for item in self._behind.pop(key, ()))]
        waited.sort(key=lambda item: item.queued_at)
        for item in reversed(waited):
            self._ready.appendleft(item)
            self._bytes += item.size

    def move_back(self, key: Hashable) -> None:
        """All that waits of one key goes behind the rest, in its order."""
        of_key = [item for item in self._ready if item.key == key]
        self._ready = deque(item for item in self._ready if item.key != key)
        self._ready.extend(of_key)

    def clear(self) -> None:
        """Forget what waits; calls under way still release their keys."""
        self._ready.clear()
        self._behind.clear()
        self._bytes = 0
