"""For how long may the broker gather records before it answers a fetch?

This is for a role whose turn costs the same for one record as for fifty. What one event gives rise to is not kept
waiting; the more records come, the longer they are gathered. That each of them waits is the price of all of them
costing less.
"""

from math import exp, inf

# Records a second, from which on they are gathered for as long as it gets.
BUSY_PER_S = 4_000.0
# How far back that is looked at.
LOOK_BACK_S = 1.0


class Pace:
    """``now`` is in seconds of one clock."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._level = 0.0
        self._at = -inf

    def gather_s(self, now: float, records: int) -> float:
        """How long from here on, at most ``longest_s``, now that a fetch has brought so many records."""
        # A leaky bucket: what came fades with time, and a steady rate holds it where it is.
        self._level = self._level * exp((self._at - now) / LOOK_BACK_S) + records
        self._at = now
        return self._longest_s * min(1.0, self._level / (BUSY_PER_S * LOOK_BACK_S))
