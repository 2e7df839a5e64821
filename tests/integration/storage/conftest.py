"""Records to store, the adapters opened on real servers, and a gate that stands between them."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import Channel, Lane, Notification
from pipeline.outcomes import Outcome, Status
from storage.postgres import PostgresOutcomes, PostgresStatuses
from storage.redis import StatusCache

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Make:
    """Records that are valid unless a test says otherwise."""

    @staticmethod
    def outcome(**change: Any) -> Outcome:
        usual: dict[str, Any] = {
            "notification_id": str(uuid.uuid4()),
            "event_id": "event-1",
            "shipment_id": "shipment-1",
            "channel": Channel.SMS,
            "recipient": "recipient-1",
            "status": Status.SENT,
            "reason": None,
            "provider": "http-sms",
            "provider_reference": "reference-1",
            "attempts": 1,
            "template": "arrived",
            "template_version": 3,
            "locale": "ru",
            "lane": Lane.BULK,
            "created_at": NOON,
            "finished_at": NOON + timedelta(seconds=2),
        }
        return Outcome(**(usual | change))

    @staticmethod
    def event(offset: int, ids: list[str], **change: Any) -> EventRecord:
        usual: dict[str, Any] = {
            "event_id": f"event-{offset}",
            "shipment_id": "shipment-1",
            "status": "arrived",
            "disposition": Disposition.ACCEPTED,
            "reason": None,
            "source": Source(topic="cargo.status.v1", partition=0, offset=offset),
            "notifications": tuple(
                Born(id=one, channel=Channel.EMAIL, recipient=f"recipient-{one[:4]}", lane=Lane.URGENT) for one in ids
            ),
            "recorded_at": NOON + timedelta(milliseconds=offset),
        }
        return EventRecord(**(usual | change))

    @staticmethod
    def notification(notification_id: str, **change: Any) -> Notification:
        usual: dict[str, Any] = {
            "id": notification_id,
            "event_id": "event-1",
            "shipment_id": "shipment-1",
            "recipient": "recipient-1",
            "channel": Channel.EMAIL,
            "lane": Lane.URGENT,
            "address": "someone@example.org",
            "title": "Arrived",
            "body": "It arrived.",
            "template": "arrived",
            "template_version": 3,
            "locale": "en",
            "created_at": NOON,
            "expires_at": NOON + timedelta(days=1),
        }
        return Notification(**(usual | change))


class Gate:
    """A TCP relay before a server: open, shut (refuses and cuts), or silent (accepts, never answers)."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent = False
        self.port = 0

    async def open(self) -> None:
        self._silent = False
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()

    def fall_silent(self) -> None:
        self._silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        relays = [asyncio.create_task(self._relay(reader, back)), asyncio.create_task(self._relay(there, writer))]
        await asyncio.gather(*relays)
        self._writers -= {writer, back}

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if not self._silent:
                    sink.write(data)
        sink.close()


@pytest.fixture
def make() -> type[Make]:
    return Make


@pytest.fixture
async def outcomes(database: str) -> AsyncIterator[PostgresOutcomes]:
    store = PostgresOutcomes(database, timeout_s=5, pool_size=2)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def statuses(database: str) -> AsyncIterator[PostgresStatuses]:
    store = PostgresStatuses(database, timeout_s=5, pool_size=2)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[StatusCache]:
    store = StatusCache(redis_url, timeout_s=2, ttl_s=60)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def gated() -> AsyncIterator[Callable[[str], Any]]:
    """Puts an open gate before the server of a URL; gives the gate and the URL that leads through it."""
    gates: list[Gate] = []

    async def through(url: str) -> tuple[Gate, str]:
        parts = urlsplit(url)
        gate = Gate(parts.hostname or "127.0.0.1", parts.port or 0)
        gates.append(gate)
        await gate.open()
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return gate, parts._replace(netloc=f"{user}127.0.0.1:{gate.port}").geturl()

    yield through
    for gate in gates:
        await gate.shut()
