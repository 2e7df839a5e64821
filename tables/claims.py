"""What is being sent right now? A row for each lane partition (`pipeline.claims`), written before each call.

Many calls change the same row at about the same time: one write carries all that changed since the last. Keys are
``<topic>-<partition>/<owner>``; an owner's first write takes the rows of those before it away, for it holds them all.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import faust
from faust.types.tuples import TP

from pipeline.claims import PartitionClaims, Ranges, Windows, merged
from streaming.engine import Drained
from streaming.producer import RecordSink
from streaming.table import ChangelogTable, Row, table

Claimed = list[tuple[PartitionClaims, TP, Ranges]]


class Claims:
    """For one send role. ``committed`` gives the committed offset of a lane partition."""

    def __init__(
        self,
        app: faust.App,
        producer: RecordSink,
        *,
        committed: Callable[[TP], int | None],
        clock_ms: Callable[[], int],
    ) -> None:
        self._producer = producer
        self._committed = committed
        self._clock_ms = clock_ms
        self._partitions: dict[TP, PartitionClaims] = {}
        self._owner = ""
        self._has_doubts = False
        self._inherited: dict[TP, list[bytes]] = {}
        self._dirty: set[TP] = set()
        self._writing = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        self.table: ChangelogTable = table(app, "claims", help="what is being sent, by lane and partition")

    def load(self, tps: Iterable[TP]) -> None:
        """Take over partitions from whoever had them: after recovery, before their records arrive."""
        rows = {tp: self.table.read_prefix(tp.partition, _prefix(tp)) for tp in tps}
        self._owner = secrets.token_hex(4)
        self._inherited = {tp: [key for key, _ in some] for tp, some in rows.items()}
        self._partitions = {
            tp: PartitionClaims((row for _, row in some), self._committed(tp) or 0) for tp, some in rows.items()
        }
        self._has_doubts = any(one.in_doubt for one in self._partitions.values())

    def reached(self) -> dict[TP, int]:
        """The offset after the last that the rows of a partition are about."""
        return {tp: one.reached for tp, one in self._partitions.items()}

    def windows(self) -> Windows:
        """Within which times (epoch ms) what is in doubt now was claimed and under way; empty if nothing is."""
        return merged(window for one in self._partitions.values() for window in one.windows)

    def done(self, tp: TP) -> Set[int]:
        """The offsets whose effects were durable before this worker had the partition."""
        return self._partitions[tp].done_before

    @property
    def has_doubts(self) -> bool:
        """Whether a worker that is gone left any claim behind that has not been settled yet."""
        return self._has_doubts

    def is_in_doubt(self, tp: TP, offset: int) -> bool:
        """Whether a worker that is gone had claimed the record."""
        return offset in self._partitions[tp].in_doubt

    def settle(self, offsets: Mapping[TP, Sequence[int]]) -> None:
        """The doubts about these are decided here; until they are done, their row still tells whoever comes next."""
        for tp, some in offsets.items():
            self._partitions[tp].in_doubt.difference_update(some)
        self._has_doubts = any(one.in_doubt for one in self._partitions.values())

    async def claim(self, offsets: dict[TP, list[int]]) -> Claimed:
        """Returns when a crash can no longer hide that these are being sent. Raises ProduceFailed, Drained."""
        if not self._partitions.keys() >= offsets.keys():
            raise Drained("a partition was taken away before its records could be claimed")
        now_ms = self._clock_ms()
        claimed = [(self._partitions[tp], tp, self._partitions[tp].claim(some, now_ms)) for tp, some in offsets.items()]
        await self._write(offsets)
        return claimed

    async def finish(self, claimed: Claimed, again: Mapping[TP, Sequence[int]]) -> None:
        """These have been told, and what came of it is durable. Raises ProduceFailed, Drained.

        Their row says so with the next claim: until then whoever takes over finds them in doubt, looks at the outcomes
        and the waits, and finds them there. The offsets of ``again`` were certainly not told, which nothing else says:
        they are given up when this returns.
        """
        for partition, tp, ranges in claimed:
            partition.finish(ranges, again.get(tp, ()))
        if again:
            await self._write(tp for _, tp, _ in claimed)

    async def _write(self, tps: Iterable[TP]) -> None:
        self._dirty.update(tps)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._write_dirty())
        await asyncio.shield(self._next)

    async def _write_dirty(self) -> None:
        async with self._writing:
            # What changes from here on is for the next write.
            self._next = None
            dirty, self._dirty = self._dirty, set()
            rows: dict[int, list[Row]] = defaultdict(list)
            for tp in dirty & self._partitions.keys():
                row = self._partitions[tp].row(self._committed(tp) or 0, self._clock_ms())
                # In this order: a crash between the two leaves too much, never too little.
                rows[tp.partition].append((_prefix(tp) + self._owner.encode(), row))
                rows[tp.partition] += [(key, None) for key in self._inherited.pop(tp, ())]
            await self.table.write(self._producer, rows)


def _prefix(tp: TP) -> bytes:
    return f"{tp.topic}-{tp.partition}/".encode()
