"""What stops a role that makes too many dead letters? Told once a turn, by every role that makes any of its own."""

from pipeline.deadletter_limits import DeadLetterLimits, DeadLetterPolicy
from pipeline.halting import HaltCause
from streaming.halt import Halt


class DeadLetterGuard:
    def __init__(self, policy: DeadLetterPolicy, halt: Halt) -> None:
        self._limits = DeadLetterLimits(policy)
        self._halt = halt

    def note(self, ended: int, *, dead: int, bugs: int) -> None:
        """``ended`` records are settled and durable; ``dead`` are dead letters that count, ``bugs`` among them."""
        reason = self._limits.note(ended, dead=dead, bugs=bugs)
        # What has begun goes on, and would say so again.
        if reason and not self._halt.reason:
            self._halt.begin(HaltCause.DEAD_LETTERS, reason)
