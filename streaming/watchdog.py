"""Does this worker still move? If not, it ends itself: a restart from the committed offsets is always safe.

Consumers have been seen to die without a word after a rebalance. A partition that has records to commit, and is neither
read nor finished nor committed for too long, shows it whatever the cause.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TYPE_CHECKING, NoReturn, Self, cast

import structlog
from faust.tables.manager import TableManager
from faust.types.tuples import TP

from streaming.stand import Stand

if TYPE_CHECKING:
    from streaming.app import ConsumerApp

log = structlog.get_logger(__name__)

CHECK_EVERY_S = 1.0
PULSE_EVERY_S = 1.0
ASK_EVERY_S = 10.0
ASK_TIMEOUT_S = 10.0
RECOVERY = "recovery"
EXIT_STUCK = 70
LAST_WORD_S = 5.0


class Patience:
    """For how long each partition has stood still with work to do.

    Something that legitimately waits (for Postgres) calls ``renew``.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._stands: dict[Hashable, tuple[object, float]] = {}

    def renew(self) -> None:
        self._stands.clear()

    def look(self, what: Hashable, position: object, *, has_work: bool) -> float:
        """Note where ``what`` stands; returns for how many seconds it has stood there with work to do."""
        now = self._clock()
        known = self._stands.get(what)
        if not has_work or known is None or known[0] != position:
            self._stands[what] = (position, now)
            return 0.0
        return now - known[1]

    def forget_all_but(self, those: Collection[Hashable]) -> None:
        for gone in self._stands.keys() - set(those):
            del self._stands[gone]

    def is_over(self) -> bool:
        """Whether something stood still for too long when it was last looked at."""
        return any(self._clock() - since > self._limit_s for _, since in self._stands.values())


async def watch(app: "ConsumerApp", patience: Patience) -> None:
    """Look once a second, for ever; show what is seen; end the process when patience is over."""
    ends: Mapping[TP, int] = {}
    shown: Collection[TP] = ()
    ask_at = 0.0
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        if app.halt.reason:
            # A restart would only let it go on for a little.
            patience.renew()
        if not app.consumer_is_ready():
            # Recovery may take its time as long as it gets on; a rebalance that never ends has been seen.
            recovered = dict(cast(TableManager, app.tables).recovery.active_offsets)
            patience.forget_all_but([RECOVERY])
            stood_s = patience.look(RECOVERY, recovered, has_work=True)
        else:
            if time.monotonic() > ask_at:
                # A consumer that has died does not know that there is more to read.
                ends = await app.fetch_consumer.ends(ASK_TIMEOUT_S)
                ask_at = time.monotonic() + ASK_EVERY_S
            stands = app.fetch_consumer.stands(ends)
            for tp in set(shown) - stands.keys():
                app.metrics.revoked(*tp)
            shown = stands.keys()
            stood_s = _look(app, patience, stands)
        app.metrics.stuck(stood_s)
        # One that is cut off knows of no more to read, and shows no lag.
        app.metrics.silent(app.lease.silent_s())
        if patience.is_over():
            app.end(f"no progress for {stood_s:.0f} s with work to do")


def _look(app: "ConsumerApp", patience: Patience, stands: Mapping[TP, Stand]) -> float:
    """Show where every partition stands; returns for how many seconds the worst has stood still."""
    ages = app.engine.in_flight.ages(time.time_ns() // 1_000_000)
    patience.forget_all_but(stands)
    worst = 0.0
    for tp, stand in stands.items():
        stood_s = patience.look(tp, stand.progress, has_work=stand.has_work)
        app.metrics.progress(
            tp.topic, tp.partition, lag=stand.lag, oldest_s=ages.get(tp, stood_s), commit_age_s=stood_s
        )
        worst = max(worst, stood_s)
    return worst


async def keep_beating(limit_s: float, end: Callable[[str], NoReturn]) -> None:
    """For ever, on the loop that is to be seen."""
    with Pulse(limit_s, end) as pulse:
        while True:
            pulse.beat()
            await asyncio.sleep(PULSE_EVERY_S)


class Pulse:
    """Ends the process when ``beat`` has not been called for ``limit_s``: an event loop that hangs cannot see that.

    Its heartbeats would go on meanwhile, for Faust's consumer has a loop of its own. Time counts while this thread
    runs: one that was frozen with the process has seen nothing of it.
    """

    def __init__(self, limit_s: float, end: Callable[[str], NoReturn]) -> None:
        self._limit_s = limit_s
        self._end = end
        self._still_s = 0.0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def beat(self) -> None:
        self._still_s = 0.0

    def _watch(self) -> None:
        while not self._over.wait(PULSE_EVERY_S):
            self._still_s += PULSE_EVERY_S
            if self._still_s > self._limit_s:
                self._end(f"the event loop has stood still for {self._still_s:.0f} s")


def end_process(reason: str) -> NoReturn:
    """Leave at once, without cleaning up: what is not committed is done again."""
    # What keeps the worker from going on may keep it from saying so: a full pipe, a disk.
    last = threading.Timer(LAST_WORD_S, os._exit, [EXIT_STUCK])
    last.daemon = True
    last.start()
    log.critical("worker ends itself", reason=reason)
    os._exit(EXIT_STUCK)


def end_after(seconds: float, reason: str) -> threading.Timer:
    """A time limit on the way out, on a thread of its own: a stuck event loop cannot hold it up."""
    timer = threading.Timer(seconds, end_process, [reason])
    timer.daemon = True
    timer.start()
    return timer
