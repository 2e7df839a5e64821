"""What can happen to the connections of a route?

``pass``        bytes go on at once
``slow``        each way they take ``latency_ms`` longer, and no more than ``bytes_per_s`` get through
``half-open``   connections stay open and nothing is forwarded; new ones are accepted. What is sent is swallowed, so a
                connection that lost bytes is reset when the mode ends: a stream is whole, or it is over
``reset``       every connection is reset now; with ``new_too`` each new one is reset as well
``refuse``      every connection is reset now, and the port is closed
"""

from enum import StrEnum

import msgspec


class ModeKind(StrEnum):
    PASS = "pass"
    SLOW = "slow"
    HALF_OPEN = "half-open"
    RESET = "reset"
    REFUSE = "refuse"


class Mode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: ModeKind = ModeKind.PASS
    latency_ms: float = 0.0
    bytes_per_s: float | None = None
    new_too: bool = False


PASS = Mode()
HALF_OPEN = Mode(kind=ModeKind.HALF_OPEN)
RESET = Mode(kind=ModeKind.RESET)
REFUSE = Mode(kind=ModeKind.REFUSE)
