"""How does a batch survive a record that the store refuses? By halves: the good part is stored, the offenders named."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pipeline.ports import Rejected, StoreResult
from storage.errors import RecordRefused

Row = TypeVar("Row")


async def store_salvaging(
    rows: Sequence[Row], store: Callable[[Sequence[Row]], Awaitable[int]], *, first: int = 0
) -> StoreResult:
    """Store ``rows``, all or in parts; ``store`` is all or nothing and raises RecordRefused for a bad row among them.

    One call for a batch without offenders, at most 2·log2(n) more for each offender. Any other error passes: parts
    that were stored by then stay, so ``store`` must be idempotent.
    """
    try:
        return StoreResult(stored=await store(rows))
    except RecordRefused as refusal:
        if len(rows) == 1:
            return StoreResult(stored=0, rejected=(Rejected(first, str(refusal)),))
    middle = len(rows) // 2
    left = await store_salvaging(rows[:middle], store, first=first)
    right = await store_salvaging(rows[middle:], store, first=first + middle)
    return StoreResult(stored=left.stored + right.stored, rejected=left.rejected + right.rejected)
