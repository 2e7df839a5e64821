"""Has this worker lately been given the same attempt of the same notification at another offset?

When enrich is killed between making notifications and noting that it did, it makes them again. They arrive within
seconds, in the same partition, so a short memory catches them; what it misses goes out with the same idempotency key.
"""

from collections import OrderedDict

from faust.types.tuples import TP

from pipeline.trail import Trail

REMEMBER = 50_000

Attempt = tuple[str, int, int]


class Recent:
    """The last `REMEMBER` attempts, by where they were first met."""

    def __init__(self, remember: int = REMEMBER) -> None:
        self._remember = remember
        # A dict would scan what was deleted from its front, again and again.
        self._met: OrderedDict[Attempt, tuple[TP, int]] = OrderedDict()

    def meet(self, notification_id: str, trail: Trail, tp: TP, offset: int) -> bool:
        """Note the attempt; whether it was met elsewhere. The same record coming back after a rebalance is no repeat.

        Waiting without spending an attempt (throttling) changes the due time, so that is part of what an attempt is.
        """
        attempt = (notification_id, trail.attempts, trail.due_ms)
        met = self._met.setdefault(attempt, (tp, offset))
        if len(self._met) > self._remember:
            self._met.popitem(last=False)
        return met != (tp, offset)
