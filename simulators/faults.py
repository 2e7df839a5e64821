"""What shall go wrong at a simulated provider, and when? Set at run time by ``PUT /_faults``.

- ``call`` befalls a call as a whole, with probability ``rate``, until it has happened ``limit`` times.
  The last two need an answer that speaks of several messages: FCM and SMTP answer as usual.
- ``refuse`` and ``fail_first`` befall single messages, whatever ``rate`` and ``limit`` say.
- ``latency_ms`` is added to each answer; ``down`` closes the port and every connection.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random

import msgspec


class CallFault(StrEnum):
    THROTTLE = "throttle"
    ERROR = "error"
    UNAUTHORIZED = "unauthorized"
    RESET = "reset"
    ACCEPT_THEN_TIMEOUT = "accept-then-timeout"
    ACCEPT_THEN_RESET = "accept-then-reset"
    ACCEPT_THEN_GARBAGE = "accept-then-garbage"
    ACCEPT_THEN_WRONG_IDS = "accept-then-wrong-ids"
    ACCEPT_THEN_HALF = "accept-then-half"


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the addresses that ``pattern`` matches (shell style); ``code`` defaults to the protocol's usual one."""

    pattern: str
    code: str | None = None
    retryable: bool = False


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``status`` is what ``error`` answers, by default the protocol's usual word for "not now" (503, 451)."""

    latency_ms: float = 0.0
    down: bool = False
    call: CallFault | None = None
    rate: float = 1.0
    limit: int | None = None
    status: int | None = None
    retry_after_s: float = 1.0
    hang_s: float = 60.0
    refuse: tuple[Refusal, ...] = ()
    fail_first: int = 0


NO_FAULTS = Faults()
FAIL_FIRST = Refusal(pattern="*", retryable=True)


@dataclass
class FaultPlan:
    """The faults in force and how often they have happened; decides without clock or I/O, from its own dice."""

    dice: Random
    faults: Faults = NO_FAULTS
    happened: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def change(self, faults: Faults) -> None:
        """Every count begins anew."""
        self.faults = faults
        self.happened = 0
        self.failures.clear()

    def for_call(self) -> CallFault | None:
        """What befalls the next call, if anything."""
        faults = self.faults
        spent = faults.limit is not None and self.happened >= faults.limit
        if faults.call is None or spent or self.dice.random() >= faults.rate:
            return None
        self.happened += 1
        return faults.call

    def for_address(self, address: str) -> Refusal | None:
        """The refusal that messages to the address meet, if any."""
        return next((refusal for refusal in self.faults.refuse if fnmatchcase(address, refusal.pattern)), None)

    def fails_still(self, message_id: str) -> bool:
        """Whether this is one of the message's first times, which fail."""
        if self.failures[message_id] >= self.faults.fail_first:
            return False
        self.failures[message_id] += 1
        return True

    def for_message(self, message_id: str, address: str) -> Refusal | None:
        """Either of the two, for protocols that learn of both at once."""
        return self.for_address(address) or (FAIL_FIRST if self.fails_still(message_id) else None)
