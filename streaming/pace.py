"""When is the next fetch worth asking for? Not at once where a turn costs the same for one record as for fifty.

What one event gives rise to comes within milliseconds and is not kept waiting. The more records come, the longer a rest
gathers them: the time that each of them waits is the price of all of them costing less.
"""

from math import exp, inf

# Records a second, from which on the rests are as long as they get.
BUSY_PER_S = 4_000.0
# How far back that is looked at.
LOOK_BACK_S = 1.0
# The loop's clock knows nothing shorter.
SHORTEST_S = 0.001


class Pace:
    """``now`` is in seconds of one clock; a fetch of ``full`` records says that more has gathered already."""

    def __init__(self, gather_s: float, full: int) -> None:
        self._gather_s = gather_s
        self._full = full
        self._level = 0.0
        self._at = -inf
        self._has_rested = False

    def rest_s(self, now: float, records: int) -> float:
        """How long to rest, at most ``gather_s``, after a fetch that has brought so many records."""
        # A leaky bucket: what came fades with time, and a steady rate holds it where it is.
        self._level = self._level * exp((self._at - now) / LOOK_BACK_S) + records
        self._at = now
        # The client asks ahead: a fetch after a rest was answered as that began, what gathered since is still to come.
        follows_a_rest, self._has_rested = self._has_rested, False
        if follows_a_rest or records >= self._full:
            return 0.0
        rest_s = self._gather_s * min(1.0, self._level / (BUSY_PER_S * LOOK_BACK_S))
        self._has_rested = rest_s >= SHORTEST_S
        return rest_s if self._has_rested else 0.0
