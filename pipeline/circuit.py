"""May the provider be called now? A circuit breaker: a provider that is down costs no attempts.

    closed      calls go out; so many failed calls in a row open the circuit
    open        no call, until the wait is over; each failed probe doubles the wait, up to the longest
    half-open   one call of one message, the probe: served closes the circuit, failed opens it again

A call has failed when the provider itself did not serve it: refused connections, 503, silence. What a provider says
about a single message is service. A call that was only told to slow down, or whose messages we refuse ourselves, says
neither: it counts nowhere, and a probe that was is made again after the same wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import NotAsked, Throttled, Unavailable, Unconfirmed
from pipeline.ports import SendResult


class CircuitState(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


# By the number that `herald_circuit_state` has for each.
CIRCUIT_STATES = tuple(CircuitState)


@dataclass(frozen=True, kw_only=True)
class CircuitPolicy:
    """``failures`` calls in a row open it; it waits ``wait_s`` first and never longer than ``longest_wait_s``."""

    failures: int
    wait_s: float
    longest_wait_s: float


def was_served(results: Sequence[SendResult]) -> bool | None:
    """What a call's results say of the provider; None if they say nothing.

    Where some messages of a call fell silent and the rest were held back for want of connections, silence speaks.
    """
    telling = [one for one in results if not isinstance(one, Throttled | NotAsked)]
    if not telling:
        return None
    return not all(isinstance(one, Unavailable | Unconfirmed) for one in telling)


# A provider may ask for more patience than ours, but not switch a channel off for a day.
LONGEST_ASKED_S = 300.0


class Circuit:
    """Of one provider; ``now`` is in seconds of any one clock that only goes forward."""

    def __init__(self, policy: CircuitPolicy) -> None:
        self._policy = policy
        self.state = CircuitState.CLOSED
        self._failed = 0
        self._wait_s = policy.wait_s
        self._until = 0.0

    def opens_in(self, now: float) -> float | None:
        """Seconds until a call may be made: 0 if now, None while a probe is under way."""
        match self.state:
            case CircuitState.CLOSED:
                return 0.0
            case CircuitState.OPEN:
                return max(0.0, self._until - now)
            case CircuitState.HALF_OPEN:
                return None

    def begin(self) -> bool:
        """A call is about to be made; whether it is a probe. Only when `opens_in` is 0."""
        if self.state is CircuitState.CLOSED:
            return False
        self.state = CircuitState.HALF_OPEN
        return True

    def end(self, served: bool | None, now: float, *, probe: bool, asked_s: float) -> None:
        """A call has ended; ``served`` as `was_served` has it, ``asked_s`` the provider's own Retry-After.

        A call from before the circuit opened closes it if it was served, and changes nothing if it was not.
        """
        if served:
            self.state = CircuitState.CLOSED
            self._failed = 0
            self._wait_s = self._policy.wait_s
        elif probe:
            if served is False:
                self._wait_s = min(2 * self._wait_s, self._policy.longest_wait_s)
            self._open(now, asked_s)
        elif served is False and self.state is CircuitState.CLOSED:
            self._failed += 1
            if self._failed >= self._policy.failures:
                self._open(now, asked_s)

    def abandon(self, now: float) -> None:
        """A probe was not made after all: its message had ended otherwise. Another one may be made at once."""
        if self.state is CircuitState.HALF_OPEN:
            self.state = CircuitState.OPEN
            self._until = now

    def _open(self, now: float, asked_s: float) -> None:
        self.state = CircuitState.OPEN
        self._failed = 0
        self._until = now + max(self._wait_s, min(asked_s, LONGEST_ASKED_S))
