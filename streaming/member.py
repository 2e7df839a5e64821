"""What may a worker still write that was frozen, or cut off, for longer than its group waits?

Nothing that it had not sent by then: somebody else may have its partitions and decides what is in doubt. So a record
goes stale in the producer's queue before the group gives the worker up (`stale_after`), and what went stale is sent
again only by a worker that the group still counts in: its broker was away, not it.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from streaming.producer import DELIVERY_TIMEOUT_S, Record, RecordSink, TimedOut

log = structlog.get_logger(__name__)


def stale_after(session_timeout_s: float) -> float:
    """How many seconds a record may wait in the queue.

    A group counts from the last heartbeat that it heard, up to a heartbeat's interval before the worker froze.
    """
    return session_timeout_s / 2


class MembersProducer:
    """A `RecordSink`; ``membership`` is `Engine.membership`.

    A batch of which a part was there already is there twice then, word for word.
    """

    def __init__(
        self, producer: RecordSink, membership: Callable[[], Awaitable[None]], give_up_s: float = DELIVERY_TIMEOUT_S
    ) -> None:
        self._producer = producer
        self._membership = membership
        self._give_up_s = give_up_s

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """As `Producer.send_all`. Raises TimedOut once it has tried for ``give_up_s``; Drained."""
        give_up_at = time.monotonic() + self._give_up_s
        while True:
            try:
                return await self._producer.send_all(records)
            except TimedOut as error:
                if time.monotonic() > give_up_at:
                    raise
                log.warning("records were not sent in time, asking the group", records=len(records), reason=str(error))
                await self._membership()
