"""Are so many dead letters still an exception? Beyond the limits a role stops, and says so, instead of draining its
topic into the dead letters.

What a publisher broke does not count: it must never stop the rest. In a row only bugs count, ours or the store's:
retries that are exhausted come in bursts, when one carrier of many was away for a day.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeadLetterPolicy:
    """So many bugs in a row, or more than ``ratio`` of the last ``window`` records, are too many."""

    consecutive: int
    ratio: float
    window: int


class DeadLetterLimits:
    """What has ended lately in one worker, a turn at a time."""

    def __init__(self, policy: DeadLetterPolicy) -> None:
        self._policy = policy
        self._in_a_row = 0
        self._turns: deque[tuple[int, int]] = deque()
        self._ended = 0
        self._dead = 0

    def note(self, ended: int, *, dead: int, bugs: int) -> str | None:
        """Why it is too much, if it is.

        This turn settled ``ended`` records, ``dead`` of them as dead letters, ``bugs`` of those for a bug.
        """
        if not ended:
            return None
        self._in_a_row = self._in_a_row + bugs if bugs == ended else 0
        self._turns.append((ended, dead))
        self._ended += ended
        self._dead += dead
        while self._ended - self._turns[0][0] >= self._policy.window:
            left = self._turns.popleft()
            self._ended -= left[0]
            self._dead -= left[1]
        if self._in_a_row >= self._policy.consecutive:
            return f"{self._in_a_row} bugs in a row"
        if self._ended >= self._policy.window and self._dead > self._policy.ratio * self._ended:
            return f"{self._dead} of the last {self._ended} records became dead letters"
        return None
