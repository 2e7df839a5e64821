"""Does the group still count this worker in? As long as a heartbeat of the last session timeout was answered.

A worker that was frozen, or cut off, for longer has been given up: somebody else may have its partitions before it
hears of that. By the clock it knows at once, so that what it was about to do it does not.
"""

import time
from collections.abc import Callable


def seconds_awake_or_not() -> float:
    """Monotonic, and it goes on while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """Renewed on the consumer's thread, asked on the loop's."""

    def __init__(self, term_s: float, clock: Callable[[], float] = seconds_awake_or_not) -> None:
        self._term_s = term_s
        self._clock = clock
        self._until = float("-inf")
        self._heard_at = clock()

    def now(self) -> float:
        return self._clock()

    def renew(self, asked_at: float) -> None:
        """The group confirmed this member; ``asked_at`` is when it was asked, not when the answer came."""
        self._until = asked_at + self._term_s
        self._heard_at = asked_at

    def end(self) -> None:
        """The group does not know this member any more."""
        self._until = float("-inf")

    def silent_s(self) -> float:
        """Since the group was asked what it confirmed last; at first, since the start."""
        return self._clock() - self._heard_at

    def is_held(self) -> bool:
        return self._clock() < self._until
