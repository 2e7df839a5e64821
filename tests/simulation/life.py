"""What is one life of a worker's process? From its start to its death, perhaps frozen or cut off for a while between.

A mishap can strike at every step that touches the outside: before it has its effect and after. Between two such steps
nobody outside could tell where a process died.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, NoReturn

from streaming.member import stale_after
from tests.simulation.choices import place_name
from tests.simulation.loop import LIFE, Ended, Handle

if TYPE_CHECKING:
    from tests.simulation.world import World

# One step in so many meets a mishap, about.
MISHAP_ONE_IN = 120.0
SHORT_S, LONG_S = 1.0, 15.0
KILL, SHORT_FREEZE, LONG_FREEZE, CUT_OFF = 1, 2, 3, 4


class Life:
    """A process that runs code under test; ``name`` is the worker's, which may have many lives."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.frozen = False
        self.cut_off = False
        self.unreachable_since: float | None = None
        # When it last heard from its group, unless it does all the time.
        self.heard_at: float | None = None
        self.parked: list[Handle] = []
        self._context: Context = copy_context()
        self._context.run(LIFE.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run as this process, whoever calls."""
        return self.world.loop.create_task(self._watched(work), context=self._context.copy())

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 Faust would end the process for it
            self.end(f"{type(error).__name__}: {error}")

    def is_member(self) -> bool:
        """As `streaming.lease.Lease` has it, with the term that `streaming.app` gives it."""
        term_s = self.world.session_timeout_s - stale_after(self.world.session_timeout_s)
        return self.heard_at is None or self.world.loop.time() < self.heard_at + term_s

    def end(self, reason: str) -> NoReturn:
        """The process ends itself, as `streaming.watchdog.end_process` does."""
        self.world.note(self.name, "ends itself: %s", reason)
        self.world.ended(self, reason)
        self.die()
        raise Ended(reason)

    def die(self) -> None:
        if self.dead:
            return
        self.dead = True
        self.unreachable_since = self.world.loop.time()
        self.world.died(self)

    async def step(self, what: str) -> None:
        """Something may happen to the process here. Does not return in one that died."""
        mishap = self.world.choices.take(place_name(self.name, what), 5, MISHAP_ONE_IN)
        if mishap:
            self._strike(mishap, what)
        if self.dead or self.frozen:
            await self.pause()

    async def freeze(self, what: str) -> None:
        """Longer than its group waits, if mishaps may still strike."""
        self._strike(LONG_FREEZE, what)
        await self.pause()

    async def pause(self) -> None:
        """A turn of the loop, which comes when a frozen process wakes, and in a dead one never."""
        await asyncio.sleep(0)

    async def connection(self) -> None:
        """Returns when the coordinator can be reached."""
        while self.cut_off:  # noqa: ASYNC110 seldom, and it costs no time
            await asyncio.sleep(1.0)

    def _strike(self, mishap: int, what: str) -> None:
        if self.dead or self.frozen or not self.world.may_strike():
            return
        if mishap == KILL:
            self.world.note(self.name, "is killed %s", what)
            self.die()
        elif mishap == CUT_OFF:
            if not self.cut_off:
                self.world.note(self.name, "cannot reach its coordinator for %g s, from %s", LONG_S, what)
                self.cut_off = True
                self._lose_touch(LONG_S, self._reconnect)
        else:
            seconds = SHORT_S if mishap == SHORT_FREEZE else LONG_S
            self.world.note(self.name, "is frozen for %g s %s", seconds, what)
            self.frozen = True
            self._lose_touch(seconds, self._thaw)

    def _lose_touch(self, seconds: float, until: Any) -> None:
        since = self.world.loop.time()
        if self.unreachable_since is None:
            self.unreachable_since = since
            if self.heard_at is None:
                self.heard_at = since
            self.world.later(self.world.session_timeout_s, self.world.expire, self, since)
        self.world.later(seconds, until)

    def _reconnect(self) -> None:
        self.cut_off = False
        self._in_touch()

    def _thaw(self) -> None:
        if self.dead:
            return
        self.world.note(self.name, "runs on")
        self.world.loop.wake(self)
        self._in_touch()

    def _in_touch(self) -> None:
        if not (self.dead or self.frozen or self.cut_off):
            self.unreachable_since = None
            self.world.in_touch(self)
