"""What stands between a port and its target? A listener, the links through it, and the mode that they are in."""

import asyncio

from simulators.listener import BACKLOG, HOST, hang_up
from tests.chaos.link import Link, Side
from tests.chaos.modes import PASS, Mode, ModeKind

CONNECT_TIMEOUT_S = 5.0


class Route:
    """``port`` on the loopback leads to ``target`` (host, port); for one event loop only."""

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self._port = port
        self._target = target
        self._links: set[Link] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.mode = PASS

    @property
    def connections(self) -> int:
        return len(self._links)

    async def open(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._accept, HOST, self._port, backlog=BACKLOG)

    async def set(self, mode: Mode) -> int:
        """Begin a mode in place of the one before; returns how many connections there were to feel it."""
        befallen = len(self._links)
        self.mode = mode
        if mode.kind is ModeKind.REFUSE:
            self._close()
        for link in tuple(self._links):
            link.changed(mode)
        if mode.kind is not ModeKind.REFUSE:
            await self.open()
        return befallen

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self) -> Side:
        return Link(lambda: self.mode, on_open=self._opened, on_over=self._links.discard).client

    def _opened(self, link: Link) -> None:
        if self.mode.kind is ModeKind.REFUSE or (self.mode.kind is ModeKind.RESET and self.mode.new_too):
            hang_up(link.client.transport)
            return
        self._links.add(link)
        if self.mode.kind is ModeKind.HALF_OPEN:
            link.is_broken = True
            return
        task = asyncio.get_running_loop().create_task(self._connect(link))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, side = await loop.create_connection(lambda: Side(link), *self._target)
        except OSError:  # also a timeout
            link.reset()
        else:
            link.join(side)
