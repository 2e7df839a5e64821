"""When does a worker take nothing more? Once it has halted: until somebody has looked, and starts it again."""

from collections.abc import Callable

import structlog

from pipeline.halting import HaltCause

log = structlog.get_logger(__name__)


class Halt:
    """One per worker; ``on_halted`` is told each cause."""

    def __init__(self, on_halted: Callable[[HaltCause], None]) -> None:
        self._on_halted = on_halted
        self._reasons: list[str] = []

    @property
    def reason(self) -> str | None:
        """Why the worker takes nothing more, for people; None while it does."""
        return "; ".join(self._reasons) or None

    def begin(self, cause: HaltCause, reason: str) -> None:
        """Take nothing more. What has begun goes on, and may find another reason."""
        log.critical("worker halts until it is started again", reason=reason)
        self._reasons.append(reason)
        self._on_halted(cause)
