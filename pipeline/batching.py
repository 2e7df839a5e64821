"""Which messages go into the next provider call?

- A batch is due when it is full (count or bytes), when its oldest message has waited for some lingers, or at once while
  no call of its lane is under way: batching costs nothing without load.
- Groups take turns, and a batch is of one group where that has enough messages: a claim is a row for each partition
  that a call has messages of, and partitions are the groups.
- Messages of one key never travel in two calls at once: a later one waits until the earlier call is answered. Within a
  batch they keep their order, which the provider keeps too.
- A call counts as under way until what it came to is durable: what a crash may repeat is bounded by their number.
- Urgent goes first, and bulk leaves it some of the calls.
"""

from collections import OrderedDict, deque
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
    """A message that waits; those of a key are mostly of one group. ``queued_at`` is in seconds of any one clock."""

    key: Hashable
    group: Hashable
    size: int
    queued_at: float
    value: T


class LaneQueue(Generic[T]):
    """The messages of one lane, each group's in order; the caller's clock and calls."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        # The next one first; none is empty.
        self._ready: OrderedDict[Hashable, deque[Item[T]]] = OrderedDict()
        self._count = 0
        self._bytes = 0
        self._behind: dict[Hashable, deque[Item[T]]] = {}
        self._busy: set[Hashable] = set()
        self.calls = 0

    def __len__(self) -> int:
        """How many messages could go into a batch now; those behind a call of their own key are not counted."""
        return self._count

    def push(self, item: Item[T]) -> None:
        self._group(item).append(item)
        self._count += 1
        self._bytes += item.size

    def due_in(self, now: float, *, lingers: int = 1) -> float | None:
        """Seconds until a batch is due: 0 if it is, None while there is nothing to wait for."""
        if not self._ready:
            return None
        full = self._count >= self._policy.messages or self._bytes >= self._policy.size_bytes
        if full or not self.calls:
            return 0.0
        oldest = min(waiting[0].queued_at for waiting in self._ready.values())
        return max(0.0, oldest + lingers * self._policy.linger_s - now)

    def take(self, most: int | None = None) -> list[Item[T]]:
        """The next batch, of at most ``most`` messages, whose keys are busy until `release`.

        Empty where every message waits behind a call.
        """
        batch: list[Item[T]] = []
        size = 0
        limit = self._policy.messages if most is None else most
        full = False
        while self._ready and not full:
            group, waiting = next(iter(self._ready.items()))
            before = len(batch)
            while waiting and not full:
                item = waiting[0]
                if item.key in self._busy:
                    self._behind.setdefault(item.key, deque()).append(self._pop(waiting))
                elif batch and size + item.size > self._policy.size_bytes:
                    full = True
                else:
                    batch.append(self._pop(waiting))
                    size += item.size
                    full = len(batch) >= limit
            if not waiting:
                del self._ready[group]
            elif len(batch) > before:
                self._ready.move_to_end(group)
        if batch:
            self.calls += 1
            self._busy.update(item.key for item in batch)
        return batch

    def _group(self, item: Item[T]) -> deque[Item[T]]:
        waiting = self._ready.get(item.group)
        if waiting is None:
            waiting = self._ready[item.group] = deque()
        return waiting

    def _pop(self, waiting: deque[Item[T]]) -> Item[T]:
        item = waiting.popleft()
        self._count -= 1
        self._bytes -= item.size
        return item

    def settle(self) -> None:
        """What a call came to is durable: another one may be under way."""
        self.calls -= 1

    def release(self, batch: list[Item[T]], again: Sequence[Item[T]] = ()) -> None:
        """The call is answered: ``again`` of it, and what waited behind its keys, go first in their groups."""
        keys = {item.key for item in batch}
        self._busy -= keys
        waited = [*again, *(item for key in keys for item in self._behind.pop(key, ()))]
        waited.sort(key=lambda item: item.queued_at)
        for item in reversed(waited):
            self._group(item).appendleft(item)
            self._count += 1
            self._bytes += item.size

    def move_back(self, key: Hashable) -> None:
        """All that waits of one key goes behind the rest, in its order."""
        for group, waiting in list(self._ready.items()):
            if of_key := [item for item in waiting if item.key == key]:
                self._ready[group] = deque([*(item for item in waiting if item.key != key), *of_key])
                self._ready.move_to_end(group)

    def clear(self) -> None:
        """Forget what waits; calls under way still release their keys."""
        self._ready.clear()
        self._behind.clear()
        self._count = self._bytes = 0
