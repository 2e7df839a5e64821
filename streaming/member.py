"""What may a worker still write that was frozen, or cut off, for longer than its group waits?

Nothing that it had not begun to send by then: somebody else may have its partitions and decides what is in doubt. So a
worker makes sure that it is a member before it hands records over; a record goes stale in the producer's queue before
the group gives the worker up (`stale_after`); and what went stale is sent again only by a member: its broker was away,
not it.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog

from streaming.engine import Drained
from streaming.producer import DELIVERY_TIMEOUT_S, Record, RecordSink, TimedOut

log = structlog.get_logger(__name__)

# What stands behind more than this may go stale though the broker is well, and would be sent again with it.
RECORDS_AT_ONCE = 5_000
BYTES_AT_ONCE = 8 << 20


def heartbeat_s(session_timeout_s: float) -> float:
    """How long from one heartbeat to the next."""
    return min(1.0, session_timeout_s / 3)


def stale_after(session_timeout_s: float) -> float:
    """How many seconds a record may wait in the queue.

    A group counts from the last heartbeat that it heard, up to a heartbeat's interval before the worker froze.
    """
    return min(session_timeout_s / 2, DELIVERY_TIMEOUT_S)


class MembersProducer:
    """A `RecordSink`; ``membership`` is `Engine.membership`, ``assignment`` a number that every assignment changes.

    A batch of which a part was there already is there twice then, word for word.
    """

    def __init__(
        self,
        producer: RecordSink,
        membership: Callable[[], Awaitable[None]],
        assignment: Callable[[], int],
        give_up_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        self._producer = producer
        self._membership = membership
        self._assignment = assignment
        self._give_up_s = give_up_s

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """As `Producer.send_all`, in parts. Raises TimedOut once a part was tried for ``give_up_s``; Drained."""
        began = self._assignment()
        offsets: dict[int, int] = {}
        for part in _parts(records):
            # It may have been frozen since it took what it made these of.
            await self._still_a_member(began)
            offsets |= await self._send(part, began)
        return offsets

    async def _still_a_member(self, began: int) -> None:
        await self._membership()
        if self._assignment() != began:
            raise Drained("its partitions were taken away before it was sent")

    async def _send(self, records: Sequence[Record], began: int) -> dict[int, int]:
        give_up_at = time.monotonic() + self._give_up_s
        while True:
            try:
                return await self._producer.send_all(records)
            except TimedOut as error:
                if time.monotonic() > give_up_at:
                    raise
                log.warning("records were not sent in time, asking the group", records=len(records), reason=str(error))
            await self._still_a_member(began)


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    first = size = 0
    for place, record in enumerate(records):
        size += len(record.value or b"")
        if place - first >= RECORDS_AT_ONCE or (size > BYTES_AT_ONCE and place > first):
            yield records[first:place]
            first, size = place, len(record.value or b"")
    if first < len(records):
        yield records[first:]
