"""How far has this worker got, and how much more may it take in?

Every fetched record is in flight from its arrival until its effects are durable. A partition's watermark is the offset
after its last fetch in an unbroken row of finished ones: only that is ever committed, so nothing unfinished is
committed over. Windows count records, not fetches: what a crash can repeat is bounded by them. They count bytes too:
four thousand lines of the ledger, each of an event that a thousand people are told of, are 600 MB.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from faust.types.tuples import TP

from streaming.records import FetchedRecord

# Ten times what a window of ordinary records holds.
WINDOW_BYTES = 32 << 20


class Fetch:
    """The records of one partition that arrived together.

    ``records`` are in offset order, and let go of when all have finished; they take ``size`` bytes until then.
    ``end`` is the offset after the last. ``live`` turns false when the partition is taken away: what finishes
    afterwards no longer counts.
    """

    __slots__ = ("end", "live", "records", "remaining", "size", "tp")

    def __init__(self, tp: TP, records: Sequence[FetchedRecord]) -> None:
        self.tp = tp
        self.records = records
        self.remaining = len(records)
        self.end = records[-1].offset + 1
        self.size = sum([len(record.value or b"") + len(record.key or b"") for record in records])
        self.live = True


class Window:
    """At most about ``limit`` records of some topics in flight, and `WINDOW_BYTES`.

    Both are looked at before more is asked for, so one answer, of several partitions perhaps, may overshoot them.
    """

    __slots__ = ("limit", "size", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        self.used = 0
        self.size = 0

    def has_room(self) -> bool:
        return self.used < self.limit and self.size < WINDOW_BYTES


class InFlight:
    """The account of what has arrived and what has finished, for one worker; for its event loop only."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._fetches: dict[TP, deque[Fetch]] = {}
        self._watermarks: dict[TP, int] = {}
        self.room = asyncio.Event()

    def share_window(self, topics: Iterable[str], limit: int) -> None:
        """Let these topics take in ``limit`` records between them."""
        window = Window(limit)
        self._windows.update(dict.fromkeys(topics, window))

    def is_batched(self, topic: str) -> bool:
        """Whether the topic arrives in whole fetches; changelogs do not."""
        return topic in self._windows

    def has_room(self, topic: str) -> bool:
        window = self._windows.get(topic)
        return window is None or window.has_room()

    def admit(self, tp: TP, records: Sequence[FetchedRecord]) -> Fetch:
        fetch = Fetch(tp, records)
        self._fetches.setdefault(tp, deque()).append(fetch)
        window = self._windows[tp.topic]
        window.used += len(records)
        window.size += fetch.size
        return fetch

    def finish(self, fetch: Fetch, count: int) -> None:
        """``count`` more records of the fetch have had their effects acknowledged by the broker."""
        if not fetch.live:
            return
        fetch.remaining -= count
        assert fetch.remaining >= 0, f"{fetch.tp}: more records finished than arrived"
        window = self._windows[fetch.tp.topic]
        window.used -= count
        self.room.set()
        if fetch.remaining:
            return
        # It may stand for long behind one that has not: a window's bound would be none.
        window.size -= fetch.size
        fetch.records, fetch.size = (), 0
        row = self._fetches[fetch.tp]
        while row and not row[0].remaining:
            self._watermarks[fetch.tp] = row.popleft().end

    def watermarks(self) -> dict[TP, int]:
        """The offset to commit for each partition that has finished anything."""
        return self._watermarks

    def records(self, topics: Iterable[str] | None = None) -> int:
        """How many records are in flight, of these topics or in all."""
        windows = self._windows.values() if topics is None else (self._windows[topic] for topic in topics)
        return sum({id(window): window.used for window in windows}.values())

    def is_busy(self, tp: TP) -> bool:
        """Whether the partition has records in flight."""
        return bool(self._fetches.get(tp))

    def ages(self, now_ms: int) -> dict[TP, float]:
        """How many seconds ago the oldest unfinished fetch of each partition was produced."""
        return {tp: max(0.0, (now_ms - row[0].records[0].timestamp) / 1000) for tp, row in self._fetches.items() if row}

    def clear(self) -> None:
        """Forget everything: the partitions are gone, and come back from their committed offsets, here or elsewhere."""
        for row in self._fetches.values():
            for fetch in row:
                fetch.live = False
        self._fetches.clear()
        self._watermarks.clear()
        for window in self._windows.values():
            window.clear()
        self.room.set()
