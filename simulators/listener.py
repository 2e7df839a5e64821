"""How does a simulator take connections, and how does it hang up?"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import cast

HOST = "127.0.0.1"
BACKLOG = 1_024
RST_ON_CLOSE = struct.pack("ii", 1, 0)

Factory = Callable[[], asyncio.Protocol]


class Listener:
    """A port that can be closed with all its connections, and opened again."""

    def __init__(self, factory: Factory, port: int, *, on_connection: Callable[[], None]) -> None:
        self._factory = factory
        self._port = port
        self._on_connection = on_connection
        self._protocols: set[asyncio.Protocol] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connected, HOST, self._port, backlog=BACKLOG)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for protocol in self._protocols:
            hang_up(transport_of(protocol))

    def _connected(self) -> asyncio.Protocol:
        self._on_connection()
        self._protocols = {known for known in self._protocols if transport_of(known) is not None}
        protocol = self._factory()
        self._protocols.add(protocol)
        return protocol


def transport_of(protocol: asyncio.Protocol) -> asyncio.Transport | None:
    """aiohttp's and aiosmtpd's protocols both keep it under this name, and None when it is lost."""
    transport: asyncio.Transport | None = getattr(protocol, "transport", None)
    return transport


def hang_up(transport: asyncio.BaseTransport | None) -> None:
    """With RST rather than FIN, as a crash or a firewall does it."""
    if transport is None or transport.is_closing():
        return
    # The option belongs to the connection; a copy of its descriptor is a way to it that every event loop allows.
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    cast(asyncio.WriteTransport, transport).abort()  # which uvloop's are, without saying so
