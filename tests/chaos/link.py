"""How does a connection go through the proxy? As two sides, each of which reads its own socket and writes the other's.

A direction holds `BOUND_BYTES` at most, beside what the kernel holds: then whoever sends must wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

from simulators.listener import hang_up
from tests.chaos.modes import Mode, ModeKind

BOUND_BYTES = 1 << 20
# A limited rate is kept to in steps of so long.
STEP_S = 0.05


class Chunk(NamedTuple):
    """``data`` is empty for the end of the stream; ``due`` on the loop's clock."""

    due: float
    data: bytes


class Side(asyncio.Protocol):
    """One end of a link; ``ended`` when the other end has been told that there is no more."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._other_is_full = False
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._heard_all = False
        self.ended = False

    @property
    def is_gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=BOUND_BYTES)
        self._link.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.lost(self)

    def data_received(self, data: bytes) -> None:
        mode = self._link.mode()
        if mode.kind is ModeKind.HALF_OPEN:
            self._link.is_broken = True
        elif mode.kind is not ModeKind.SLOW and not self._waiting and self.other is not None:
            self.other.write(data)
        else:
            self._hold(data, mode)

    def eof_received(self) -> bool:
        self._heard_all = True
        if self._link.mode().kind is ModeKind.HALF_OPEN:
            self._link.is_broken = True
        else:
            self._hold(b"", self._link.mode())
        return True  # the other direction may have more to say

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.set_other_full(True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.set_other_full(False)

    def set_other_full(self, full: bool) -> None:
        self._other_is_full = full
        self.flush()

    def write(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return  # its loss is about to be told
        if data:
            self.transport.write(data)
        else:
            self.transport.write_eof()

    def connect(self, other: "Side") -> None:
        self.other = other
        self.flush()

    def hurry(self) -> None:
        """What waits to be late need not any more."""
        self._waiting = deque(Chunk(0.0, chunk.data) for chunk in self._waiting)
        self._free_at = 0.0
        self.flush()

    def drop(self) -> bool:
        """Forget what waits; whether that was anything."""
        some = bool(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._adjust_reading()
        return some

    def _hold(self, data: bytes, mode: Mode) -> None:
        slow = mode.kind is ModeKind.SLOW
        arrives = self._loop.time() + (mode.latency_ms / 1000 if slow else 0.0)
        rate = mode.bytes_per_s if slow else None
        step = max(1, int(rate * STEP_S)) if rate else max(1, len(data))
        for start in range(0, max(1, len(data)), step):
            piece = data[start : start + step]
            self._free_at = max(arrives, self._free_at) + (len(piece) / rate if rate else 0.0)
            self._waiting.append(Chunk(self._free_at, piece))
        self._waiting_bytes += len(data)
        self.flush()

    def flush(self) -> None:
        """Write what is due, unless the other end has enough to do."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._waiting and self.other is not None and not self._other_is_full and self._waiting[0].due <= now:
            data = self._waiting.popleft().data
            self._waiting_bytes -= len(data)
            self.ended = self.ended or not data
            self.other.write(data)
        if self._waiting and self.other is not None and not self._other_is_full:
            self._timer = self._loop.call_at(self._waiting[0].due, self.flush)
        self._adjust_reading()
        self._link.maybe_over()

    def _adjust_reading(self) -> None:
        wanted = not self._other_is_full and self._waiting_bytes < BOUND_BYTES
        if self.transport is None or self._heard_all or self.transport.is_closing() or wanted == self._reading:
            return
        self._reading = wanted
        (self.transport.resume_reading if wanted else self.transport.pause_reading)()


class Link:
    """A client's connection and ours to the target; ``on_open`` is told of its beginning, ``on_over`` of its end."""

    def __init__(
        self, mode: Callable[[], Mode], *, on_open: Callable[["Link"], None], on_over: Callable[["Link"], None]
    ) -> None:
        self.mode = mode
        self._on_open = on_open
        self._on_over = on_over
        self.client = Side(self)
        self.target: Side | None = None
        self.is_broken = False
        self._is_over = False

    def opened(self, side: Side) -> None:
        if side is self.client:
            self._on_open(self)

    def join(self, target: Side) -> None:
        """From now on bytes can go through; what the client has sent meanwhile comes first."""
        self.target = target
        if self._is_over:
            hang_up(target.transport)
            return
        target.connect(self.client)
        self.client.connect(target)

    def maybe_over(self) -> None:
        """Both have said all, so both are closed once that is written."""
        if self.target is not None and self.client.ended and self.target.ended:
            for side in (self.client, self.target):
                if side.transport is not None:
                    side.transport.close()

    def lost(self, side: Side) -> None:
        """One end is gone. So is the other, unless the mode is that nobody hears of anything."""
        if self.mode().kind is ModeKind.HALF_OPEN:
            self.is_broken = True
        elif not (self.client.ended and self.target is not None and self.target.ended):
            self.reset()
        if all(
            one is None or one.transport is None or one.transport.is_closing() for one in (self.client, self.target)
        ):
            self._end()

    def reset(self) -> None:
        for side in (self.client, self.target):
            if side is not None:
                side.drop()
                hang_up(side.transport)
        self._end()

    def changed(self, mode: Mode) -> None:
        """``mode`` has just begun."""
        sides = [side for side in (self.client, self.target) if side is not None]
        if mode.kind is ModeKind.HALF_OPEN:
            dropped = [side.drop() for side in sides]
            self.is_broken = self.is_broken or any(dropped)
        elif self.is_broken or mode.kind in (ModeKind.RESET, ModeKind.REFUSE):
            self.reset()
        elif mode.kind is ModeKind.PASS:
            for side in sides:
                side.hurry()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_over(self)
