"""What if a connection to Kafka cannot be made, or closes just before something is sent on it?

In the first case others, which wait for it in line, do not wait long; in the second it is a broken one as any other. On
a transport that has closed, uvloop refuses to write with a RuntimeError, which aiokafka does not expect: it would end
whichever of its tasks comes first, and the worker with it (aio-libs/aiokafka#1038).
"""

import asyncio
from typing import Any

from aiokafka import conn, errors
from aiokafka.conn import AIOKafkaConnection, CloseReason

# aiokafka's client makes one connection at a time: for as long as it waits for one that is not there, no other is made.
# More than the five seconds after which a system asks its next name server.
CONNECT_TIMEOUT_S = 8.0


class LiveConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types here
    """Raises KafkaConnectionError, which its callers know, where there is nobody to write to any more."""

    async def connect(self) -> Any:
        """All of it within a request's time, or less. Raises TimeoutError, as aiokafka's own does for its parts."""
        async with asyncio.timeout(min(CONNECT_TIMEOUT_S, self._request_timeout)):
            return await super().connect()

    def send(self, request: Any, expect_response: bool = True) -> Any:
        self._break_off_if_closing()
        return super().send(request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._break_off_if_closing()
        return super()._send_sasl_token(payload, expect_response)

    def close(self, reason: Any = None, exc: Any = None) -> Any:
        """What had no answer in time is not written any further: whoever sent it has given it up, or sends it again."""
        if reason is CloseReason.CONNECTION_TIMEOUT and self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)

    def _break_off_if_closing(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise errors.KafkaConnectionError(f"Connection at {self.host}:{self.port} broken")


def install() -> None:
    """For every connection that this process makes from here on: aiokafka has no other place to say it."""
    conn.AIOKafkaConnection = LiveConnection
