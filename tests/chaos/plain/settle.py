"""When is the plain application done with a fault, and has it come back? Judged once the feed has ended."""

import time
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaException

from tests.chaos.plain.scene import Scene
from tests.chaos.plain.tally import Tally

LOOK_EVERY_S = 1.0
# With lag, nothing that moves for so long has stalled; without, nothing will come: the longest wait of a retry is 10 s.
STALLED_S = 60.0
QUIET_S = 20.0
DEADLINE_S = 150.0


class Ending(StrEnum):
    """``whole``: nothing is missing. Else something is, and no lag is left (``lost``), or it stays (``stalled``)."""

    WHOLE = "whole"
    LOST = "lost"
    STALLED = "stalled"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """``lag`` in records, where it was looked at last; ``after_s`` since the feed had ended."""

    ending: Ending
    tally: Tally
    lag: int
    after_s: float


def settle(scene: Scene) -> Settled:
    """Returns when nothing is missing, nothing moves any more, or `DEADLINE_S` are over."""
    began = moved_at = time.monotonic()
    before: object = None
    while True:
        now, counted, lag = time.monotonic(), scene.tally(), _lag(scene)
        if (state := (counted, lag)) != before:
            before, moved_at = state, now
        if ending := _ending(counted, lag, quiet_s=now - moved_at, waited_s=now - began):
            return Settled(ending=ending, tally=counted, lag=lag, after_s=now - began)
        time.sleep(LOOK_EVERY_S)


def _ending(counted: Tally, lag: int, *, quiet_s: float, waited_s: float) -> Ending | None:
    if counted.is_whole:
        return Ending.WHOLE
    if lag == 0 and quiet_s >= QUIET_S:
        return Ending.LOST
    if quiet_s >= STALLED_S:
        return Ending.STALLED
    return Ending.UNSETTLED if waited_s >= DEADLINE_S else None


def _lag(scene: Scene) -> int:
    try:
        return scene.lag()
    except KafkaException:
        return -1
