"""Does this worker still move? If not, it ends itself: a restart from the committed offsets is always safe.

Consumers have been seen to die without a word after a rebalance. A head record that stays in flight too long, or lag
on an idle partition that is not read, shows it whatever the cause.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, cast

import structlog
from faust.tables.manager import TableManager
from faust.types.tuples import TP

if TYPE_CHECKING:
    from streaming.app import ConsumerApp

log = structlog.get_logger(__name__)

CHECK_EVERY_S = 1.0
EXIT_STUCK = 70


class Patience:
    """How long a worker has stood still; something that legitimately waits (for Postgres) calls ``renew``."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._moved_at = clock()
        self._seen: object = None

    def renew(self) -> None:
        self._moved_at = self._clock()

    def look(self, position: object, *, has_work: bool) -> float:
        """Note where the worker stands; returns for how many seconds it has stood there with work to do."""
        if position != self._seen or not has_work:
            self._seen = position
            self.renew()
        return self._clock() - self._moved_at

    def is_over(self) -> bool:
        return self._clock() - self._moved_at > self._limit_s


async def watch(app: "ConsumerApp", patience: Patience) -> None:
    """Look once a second, for ever; show what is seen; end the process when patience is over."""
    known: set[TP] = set()
    moved: dict[TP, tuple[int | None, float]] = {}
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        if not app.consumer_is_ready():
            # Recovery may take its time as long as it gets on; a rebalance that never ends has been seen.
            stood_s = patience.look(dict(cast(TableManager, app.tables).recovery.active_offsets), has_work=True)
            if patience.is_over():
                app.end(f"not ready, and no nearer to it for {stood_s:.0f} s")
            continue
        in_flight, lag = app.engine.in_flight, app.fetch_consumer.lag()
        for tp in known - lag.keys():
            app.metrics.revoked(tp.topic, tp.partition)
            moved.pop(tp, None)
        known, ages = set(lag), in_flight.ages()
        for tp, records in lag.items():
            committed, since = app.fetch_consumer.committed(tp), moved.get(tp)
            if since is None or since[0] != committed or not records:
                since = moved[tp] = (committed, time.monotonic())
            app.metrics.progress(
                tp.topic,
                tp.partition,
                lag=records,
                oldest_s=ages.get(tp, 0.0),
                commit_age_s=time.monotonic() - since[1],
            )
        position = (dict(in_flight.watermarks()), in_flight.records())
        stood_s = patience.look(position, has_work=bool(in_flight.records()) or any(lag.values()))
        app.metrics.stuck(stood_s)
        if patience.is_over():
            head = max(ages, key=ages.__getitem__, default=None)
            app.end(f"no progress for {stood_s:.0f} s with work to do: head {head}, lag {sum(lag.values())}")


def end_process(reason: str) -> NoReturn:
    """Leave at once, without cleaning up: what is not committed is done again."""
    log.critical("worker ends itself", reason=reason)
    os._exit(EXIT_STUCK)


def end_after(seconds: float, reason: str) -> threading.Timer:
    """A time limit on the way out, on a thread of its own: a stuck event loop cannot hold it up."""
    timer = threading.Timer(seconds, end_process, [reason])
    timer.daemon = True
    timer.start()
    return timer
