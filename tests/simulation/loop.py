"""How does a second pass without anybody waiting for it? An event loop whose time jumps to the next timer.

Every callback belongs to a process of the simulated world (`LIFE`, inherited by the tasks that a task makes). What
belongs to a dead process never runs again, without a ``finally``, as after ``kill -9``; what belongs to a frozen one
runs when it wakes.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from itertools import count
from typing import Any, Protocol


class Process(Protocol):
    """What the loop asks of whoever a callback belongs to."""

    dead: bool
    frozen: bool
    parked: list["Handle"]


LIFE: ContextVar[Process | None] = ContextVar("life", default=None)


class Ended(BaseException):
    """Raised in a process that has just ended itself: none of its code may run on."""


class Handle:
    """A callback to come; asyncio calls `cancel`."""

    __slots__ = ("_when", "args", "callback", "context", "gone", "life")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.life = LIFE.get() if context is None else context.get(LIFE)
        self.gone = False
        self._when = 0.0

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Deterministic: callbacks run in the order in which they became due, ties in the order in which they were asked.

    An exception of a callback is a bug of the simulation, or of the code under it, and leaves `run`.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = count()
        self._closed = False
        self.steps = 0

    def time(self) -> float:
        return self._now

    def run(self, is_over: Callable[[], bool], until: float) -> bool:
        """Run until ``is_over``, which is asked whenever time is about to pass, or for so long; whether it is over."""
        asyncio._set_running_loop(self)
        try:
            while not (over := not self._ready and is_over()):
                if not self._ready and not self._pass_time(until):
                    break
                self._run_ready()
            return over
        finally:
            asyncio._set_running_loop(None)

    def _run_ready(self) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if handle.gone:
                continue
            if (life := handle.life) is not None:
                if life.dead:
                    continue
                if life.frozen:
                    life.parked.append(handle)
                    continue
            self.steps += 1
            try:
                if handle.context is None:
                    handle.callback(*handle.args)
                else:
                    handle.context.run(handle.callback, *handle.args)
            except Ended:
                assert life is not None and life.dead

    def _pass_time(self, until: float) -> bool:
        timers, ready = self._timers, self._ready
        while timers and not ready:
            if timers[0][0] > until:
                return False
            self._now = max(self._now, timers[0][0])
            while timers and timers[0][0] <= self._now:
                handle = heapq.heappop(timers)[2]
                if not handle.gone:
                    ready.append(handle)
        return bool(ready)

    def wake(self, process: Process) -> None:
        """What a frozen process should have done comes at once, in its order."""
        process.frozen = False
        self._ready.extend(process.parked)
        process.parked.clear()

    # What asyncio asks of a loop

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        handle = Handle(callback, args, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:  # type: ignore[override]
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:  # type: ignore[override]
        handle = Handle(callback, args, context)
        handle._when = when
        if not self._closed:
            heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, **options)
        # Whoever dies leaves its tasks as they are.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A task that ended itself with nobody left to hear of it."""

    async def shutdown_asyncgens(self) -> None: ...
