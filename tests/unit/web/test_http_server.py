"""What every role serves, and how errors leave: over real sockets, with hand-written answers behind them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from observability.metrics import Metrics
from pipeline.errors import StorageUnavailable
from web.health import Problem
from web.server import HttpServer, add_status_api, operations_app

KEYS = ["first-key", "second-key"]


class Patient:
    """Health that a test makes better or worse."""

    def __init__(self) -> None:
        self.dead: list[Problem] = []
        self.busy: list[Problem] = []

    def live(self):
        return self.dead

    def ready(self):
        return self.busy


class Answers:
    """Statuses that do as they are told."""

    def __init__(self, behaviour) -> None:
        self._behaviour = behaviour

    async def status(self, notification_id):
        return await self._behaviour()

    async def of_shipment(self, shipment_id, *, after, limit):
        return await self._behaviour()


@asynccontextmanager
async def serving(*, health=None, statuses=None, registry=None, keys=KEYS) -> AsyncIterator[aiohttp.ClientSession]:
    registry = registry or CollectorRegistry()
    app = operations_app(
        health_of=health or Patient(),
        registry=registry,
        answered=Metrics(registry).answered,
        request_timeout_s=0.3,
    )
    if statuses is not None:
        digests = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
        add_status_api(app, statuses=statuses, api_keys=digests)
    server = HttpServer(app, host="127.0.0.1", port=0, stop_timeout_s=1)
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session
    await server.stop()


async def nothing():
    return None


PATH = "/v1/notifications/6f0a3c5e-2f0b-5d38-9a57-3f1d6f3c8a10"


async def test_health_names_what_is_wrong():
    health = Patient()
    async with serving(health=health) as session:
        async with session.get("/health/live") as response:
            assert (response.status, (await response.json())["status"]) == (200, "ok")
        health.busy = [Problem("tables", "2 partitions recover")]
        async with session.get("/health/ready") as response:
            assert response.status == 503
            assert (await response.json())["problems"] == [{"check": "tables", "detail": "2 partitions recover"}]
        async with session.get("/health/live") as response:
            assert response.status == 200


async def test_metrics_are_those_of_the_registry_given_and_name_routes_never_paths():
    registry = CollectorRegistry()
    async with serving(registry=registry, statuses=Answers(nothing)) as session:
        for path in (PATH, "/v1/notifications/wrong", "/nowhere/4711"):
            async with session.get(path, headers={"X-API-Key": KEYS[0]}):
                pass
        async with session.get("/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            text = await response.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["herald_http_requests"].samples
        if sample.name.endswith("_total")
    }
    assert counted == {
        ("/v1/notifications/{id}", "404"): 1,
        ("/v1/notifications/{id}", "400"): 1,
        ("unmatched", "404"): 1,
    }
    assert "4711" not in text


ERRORS = [
    ("no such path", "GET", "/nowhere", 404),
    ("a method that the path does not know", "POST", "/health/live", 405),
    ("a known path without a key", "GET", PATH, 401),
    ("an unknown path of the API tells nothing without a key", "GET", "/v1/secrets", 401),
]


@pytest.mark.parametrize(("method", "path", "status"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
async def test_every_error_is_a_problem_document(method, path, status):
    async with serving(statuses=Answers(nothing)) as session, session.request(method, path) as response:
        body = await response.json(content_type="application/problem+json")
        assert (response.status, body["status"]) == (status, status)
        assert body["type"] == "about:blank"
        assert body["title"]
        if status == 405:
            assert "GET" in response.headers["Allow"]


async def test_a_bug_is_logged_and_answered_without_its_details():
    async def bug():
        raise RuntimeError("secret detail")

    with capture_logs() as logs:
        async with (
            serving(statuses=Answers(bug)) as session,
            session.get(PATH, headers={"X-API-Key": KEYS[0]}) as response,
        ):
            text = await response.text()
            assert (response.status, response.content_type) == (500, "application/problem+json")
    assert "secret" not in text
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["request failed"]


@pytest.mark.parametrize("error", [StorageUnavailable("gone"), TimeoutError()])
async def test_stores_away_is_503_with_a_time_to_come_again(error):
    async def away():
        raise error

    async with (
        serving(statuses=Answers(away)) as session,
        session.get(PATH, headers={"X-API-Key": KEYS[0]}) as response,
    ):
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0


async def test_a_request_ends_in_time_whatever_is_behind_it():
    async with (
        serving(statuses=Answers(asyncio.Event().wait)) as session,
        asyncio.timeout(3),
        session.get(PATH, headers={"X-API-Key": KEYS[0]}) as response,
    ):
        assert response.status == 503


ADMITTED = [
    ("the key's own header", {"X-API-Key": "first-key"}),
    ("any of the keys", {"X-API-Key": "second-key"}),
    ("a bearer token", {"Authorization": "Bearer second-key"}),
    ("the scheme's name in any case", {"Authorization": "bearer first-key"}),
]
TURNED_AWAY = [
    ("nothing", {}),
    ("a wrong key", {"X-API-Key": "third-key"}),
    ("an empty key", {"X-API-Key": ""}),
    ("another scheme", {"Authorization": "Basic first-key"}),
    ("a scheme alone", {"Authorization": "Bearer"}),
    ("bytes that are no UTF-8", {"X-API-Key": "\udcff\udcfe"}),
]


@pytest.mark.parametrize(
    ("headers", "status"),
    [(row[1], 404) for row in ADMITTED] + [(row[1], 401) for row in TURNED_AWAY],
    ids=[row[0] for row in ADMITTED + TURNED_AWAY],
)
async def test_who_is_let_in(headers, status):
    async with serving(statuses=Answers(nothing)) as session:
        if "\udcff" in headers.get("X-API-Key", ""):
            assert await raw_status(session, b"X-API-Key: \xff\xfe") == status
            return
        async with session.get(PATH, headers=headers) as response:
            assert response.status == status
            assert ("WWW-Authenticate" in response.headers) == (status == 401)


async def raw_status(session, header: bytes) -> int:
    url = session._base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + header + b"\r\n\r\n")
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


async def test_without_keys_everybody_is_refused_and_the_log_says_why():
    with capture_logs() as logs:
        async with (
            serving(statuses=Answers(nothing), keys=[]) as session,
            session.get(PATH, headers={"X-API-Key": ""}) as response,
        ):
            assert response.status == 401
    assert any("no API key is configured" in entry["event"] for entry in logs)


async def test_no_key_is_no_key_whatever_digests_there_are():
    """`sha256sum` of a variable that was not set has an answer, too."""
    async with (
        serving(statuses=Answers(nothing), keys=[""]) as session,
        session.get(PATH) as bare,
        session.get(PATH, headers={"X-API-Key": "", "Authorization": "Bearer "}) as empty,
    ):
        assert (bare.status, empty.status) == (401, 401)


async def test_the_document_needs_no_key():
    async with serving(statuses=Answers(nothing)) as session, session.get("/openapi.json") as response:
        assert (response.status, (await response.json())["openapi"]) == (200, "3.1.0")


async def test_a_taken_address_is_an_error_at_start(unused_tcp_port):
    servers = [HttpServer(web.Application(), host="127.0.0.1", port=unused_tcp_port) for _ in range(2)]
    await servers[0].start()
    with pytest.raises(OSError, match="address already in use"):
        await servers[1].start()
    for server in servers:
        await server.stop()
