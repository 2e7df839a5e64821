"""When is the next fetch worth asking for? Not at once where a turn costs the same for one record as for fifty.

Over time there is one rest in ``gather_s``, and two fetches. After a quiet time a few may follow each other at once:
what one event gives rise to comes within milliseconds, and need not wait for more where there is none.
"""

from math import inf

AT_ONCE = 5
# The loop's clock knows nothing shorter.
SHORTEST_S = 0.001


class Pace:
    """``now`` is in seconds of one clock."""

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._due = -inf
        self._has_rested = False

    def rest_s(self, now: float) -> float:
        """How long to rest after a fetch that has brought something."""
        if self._has_rested:
            # The client asks ahead: that fetch was answered as the rest began, what gathered since is still to come.
            self._has_rested = False
            return 0.0
        self._due = max(self._due + self._gather_s, now - (AT_ONCE - 1) * self._gather_s)
        rest_s = self._due - now
        self._has_rested = rest_s >= SHORTEST_S
        return rest_s if self._has_rested else 0.0
