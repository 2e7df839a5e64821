"""Which records of a partition may a crash have told already? One row says it for the whole partition.

Before a call its records are claimed, and the row is written and acknowledged; when its results are durable they are
done, which the next claim's row says. Whoever reads the partition next skips what is done and looks for what came of
the rest. Offsets below what is committed are never read again, so they leave the row.

    row = {"claimed": [[first, last], …], "done": [[first, last], …], "windows": [[from_ms, until_ms], …]}

Ranges hold offsets, both ends included. What became of the claimed, as far as it is durable, was written within the
windows: from when the oldest of it was claimed until the row was written, and what was on its way then.

Each owner of a partition writes a row of its own, and whoever takes over reads those of all before: one that was
frozen, and does not know yet that it is no longer the owner, can add to them and take nothing away.
"""

from collections.abc import Iterable

import msgspec

Ranges = list[tuple[int, int]]
Windows = list[tuple[int, int]]
# Crash after crash, with the same record in doubt, must not make the row grow.
MOST_WINDOWS = 8


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    claimed: Ranges = []
    done: Ranges = []
    windows: Windows = []


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ClaimRow).decode


def to_ranges(offsets: Iterable[int]) -> Ranges:
    """Neighbouring offsets become one range."""
    ranges: Ranges = []
    for offset in sorted(offsets):
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1] = (ranges[-1][0], offset)
        else:
            ranges.append((offset, offset))
    return ranges


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """In order; those that overlap or touch become one."""
    result: Ranges = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def to_offsets(ranges: Ranges) -> set[int]:
    return {offset for first, last in ranges for offset in range(first, last + 1)}


class PartitionClaims:
    """The row of one owner of a partition, as it changes; ``rows`` are those of its owners before."""

    def __init__(self, rows: Iterable[bytes] = (), committed: int = 0) -> None:
        """What lies below ``committed`` is never read again: an owner of before may have written it late."""
        recovered = [_decode(row) for row in rows]
        done = {offset for row in recovered for offset in to_offsets(_from(row.done, committed))}
        self.done_before = done
        # What one of them had claimed, another may have finished since.
        claimed = (offset for row in recovered for offset in to_offsets(_from(row.claimed, committed)))
        self.in_doubt = set(claimed) - done
        # No log that ends before this is the one that the rows are about.
        self.reached = 1 + max((last for row in recovered for _, last in (*row.claimed, *row.done)), default=-1)
        windows = {window for row in recovered for window in row.windows if row.claimed}
        self.windows = merged(windows) if self.in_doubt else []
        # Anew: what one life after the other claimed again stands in the row as often.
        self._left_behind = to_ranges(self.in_doubt)
        self._claimed: list[tuple[Ranges, int]] = []
        self._done = to_ranges(self.done_before)

    def claim(self, offsets: Iterable[int], now_ms: int) -> Ranges:
        """Take these offsets into a call; give what is returned to `finish`."""
        ranges = to_ranges(offsets)
        self._claimed.append((ranges, now_ms))
        return ranges

    def finish(self, ranges: Ranges, again: Iterable[int] = ()) -> None:
        """What was claimed is done, but for the offsets of ``again``: certainly not told, to be claimed anew."""
        self._claimed = [one for one in self._claimed if one[0] is not ranges]
        if left := set(again):
            ranges = to_ranges(to_offsets(ranges) - left)
        # Calls end about in the order of their offsets: what they finish is nearly always one range.
        self._done = joined(self._done + ranges)

    def row(self, committed: int, now_ms: int) -> bytes:
        """What is to be written now, without what lies below the committed offset."""
        self._left_behind = _from(self._left_behind, committed)
        self._done = _from(self._done, committed)
        claimed = [ranges for ranges, _ in self._claimed]
        windows = self.windows if self._left_behind else []
        if claimed:
            windows = [*windows, (min(at_ms for _, at_ms in self._claimed), now_ms)]
        return _encode(
            ClaimRow(
                claimed=sorted(span for ranges in [self._left_behind, *claimed] for span in ranges),
                done=self._done,
                windows=merged(windows),
            )
        )


def merged(windows: Iterable[tuple[int, int]]) -> Windows:
    """In order, without overlaps, and few: the oldest ones become one where there are too many."""
    result: Windows = []
    for begin, end in sorted(windows):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    while len(result) > MOST_WINDOWS:
        result[:2] = [(result[0][0], result[1][1])]
    return result


def _from(ranges: Ranges, first: int) -> Ranges:
    return [(max(low, first), high) for low, high in ranges if high >= first]
