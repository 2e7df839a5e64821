"""A connection that has closed under aiokafka is told of as broken, on the event loop that the workers run on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from aiokafka import conn, errors
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.protocol.admin import ApiVersionRequest

from streaming import connection
from streaming.connection import LiveConnection, install

LOOPS = [uvloop.new_event_loop, asyncio.new_event_loop]


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accepts, and says nothing. Gives its port."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            gone.set()


@asynccontextmanager
async def connected(kind: type[AIOKafkaConnection]) -> AsyncIterator[Any]:
    """To a server that says nothing."""
    async with silent_server() as port:
        # The one that is made asks for versions as it connects, and nobody answers.
        one = type("Silent", (kind,), {"_do_version_lookup": lambda self: asyncio.sleep(0)})("127.0.0.1", port)
        await one.connect()
        try:
            yield one
        finally:
            one.close()


async def send_on_a_closed_one(kind: type[AIOKafkaConnection]) -> None:
    async with connected(kind) as connection:
        connection._writer.transport.abort()
        # The transport closes in this turn of the loop; whoever reads from it hears so in the next one.
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await connection.send(ApiVersionRequest())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_closed_connection_is_a_broken_one(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(errors.KafkaConnectionError):
        runner.run(send_on_a_closed_one(LiveConnection))


def test_aiokafka_by_itself_does_not_know_what_uvloop_says() -> None:
    """Once this fails, `streaming.connection` has no reason any more."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(RuntimeError, match="is closed"):
        runner.run(send_on_a_closed_one(AIOKafkaConnection))


async def test_a_token_is_not_sent_on_a_closed_one() -> None:
    async with connected(LiveConnection) as connection:
        connection._writer.transport.abort()
        with pytest.raises(errors.KafkaConnectionError):
            connection._send_sasl_token(b"token")
        assert not connection.connected(), "the next one to send connects anew"


async def test_who_accepts_and_says_nothing_is_not_waited_for_as_long_as_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka makes one connection after the other, whatever their brokers."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.1)
    async with silent_server() as port:
        one = LiveConnection("127.0.0.1", port, request_timeout_ms=60_000)
        async with asyncio.timeout(10):
            with pytest.raises(TimeoutError):
                await one.connect()
        assert not one.connected()


def test_every_connection_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conn, "AIOKafkaConnection", object)
    install()
    assert conn.AIOKafkaConnection is LiveConnection


SENT = 32 << 20


async def arrived_after(reason: CloseReason) -> int:
    """How much of a large request reaches a server that reads only once its sender has closed."""
    closed, arrived = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        count = 0
        with suppress(ConnectionError):
            while some := await reader.read(1 << 20):
                count += len(some)
        writer.close()
        arrived.set_result(count)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 10) as server:
        port = server.sockets[0].getsockname()[1]
        kind = type("Silent", (LiveConnection,), {"_do_version_lookup": lambda self: asyncio.sleep(0)})
        connection = kind("127.0.0.1", port)
        await connection.connect()
        connection._writer.write(bytes(SENT))
        connection.close(reason=reason)
        closed.set()
        async with asyncio.timeout(10):
            return int(await arrived)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_had_no_answer_in_time_is_not_written_any_further(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(arrived_after(CloseReason.SHUTDOWN)) == SENT
        assert runner.run(arrived_after(CloseReason.CONNECTION_TIMEOUT)) < SENT
