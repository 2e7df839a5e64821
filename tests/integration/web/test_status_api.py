"""The status API over real sockets, on real Postgres and Redis; every answer is held against the OpenAPI document."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome, Status
from storage.postgres import PostgresOutcomes, PostgresStatuses
from storage.reader import StatusReader
from storage.redis import StatusCache
from web.server import HttpServer, add_status_api, operations_app

KEY = "a-long-random-key"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Healthy:
    def live(self):
        return []

    def ready(self):
        return []


class Client:
    """Asks, and holds the answer against the document that the server itself serves."""

    def __init__(self, session: aiohttp.ClientSession, document: dict) -> None:
        self._session = session
        self._document = document

    async def get(self, path, *, key=KEY, **query):
        headers = {"X-API-Key": key} if key else {}
        async with self._session.get(path, params=query, headers=headers) as response:
            body = await response.json(content_type=None)
            self._hold(path, response, body)
            return response, body

    def _hold(self, path, response, body):
        route = "/v1/notifications" if path == "/v1/notifications" else "/v1/notifications/{id}"
        answers = self._document["paths"][route]["get"]["responses"]
        answer = answers[str(response.status)]
        if "$ref" in answer:
            answer = self._document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        assert set(answer.get("headers", {})) <= set(response.headers)
        schema = answer["content"][response.content_type]["schema"]
        Draft202012Validator(
            {**schema, "components": self._document["components"]}, format_checker=FormatChecker()
        ).validate(body)


async def serving(reader) -> AsyncIterator[Client]:
    registry = CollectorRegistry()
    answered = Metrics(registry).answered
    app = operations_app(health_of=Healthy(), registry=registry, answered=answered, request_timeout_s=5)
    add_status_api(app, statuses=reader, api_keys=[DIGEST])
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        async with session.get("/openapi.json") as response:
            document = await response.json()
        yield Client(session, document)
    await server.stop()


@pytest.fixture
async def outcomes(database) -> AsyncIterator[PostgresOutcomes]:
    store = PostgresOutcomes(database, timeout_s=5, pool_size=1)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def cache(redis_url) -> AsyncIterator[StatusCache]:
    store = StatusCache(redis_url, timeout_s=2, ttl_s=60)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def client(database, cache) -> AsyncIterator[Client]:
    postgres = PostgresStatuses(database, timeout_s=5, pool_size=2)
    await postgres.start()
    async for one in serving(StatusReader(cache, postgres)):
        yield one
    await postgres.stop()


@pytest.fixture
async def deserted(unused_tcp_port_factory) -> AsyncIterator[Client]:
    """An API that has neither of its stores."""
    postgres = PostgresStatuses(f"postgresql://x@127.0.0.1:{unused_tcp_port_factory()}/x", timeout_s=0.5, pool_size=1)
    cache = StatusCache(f"redis://127.0.0.1:{unused_tcp_port_factory()}/0", timeout_s=0.2, ttl_s=60)
    await postgres.start()
    await cache.start()
    async for one in serving(StatusReader(cache, postgres)):
        yield one
    await cache.stop()
    await postgres.stop()


def outcome(notification_id: str, status: Status = Status.DELIVERED, **change) -> Outcome:
    usual = {"reason": None, "provider": "smtp", "provider_reference": "<1@x>", "attempts": 2} | change
    return Outcome(
        notification_id=notification_id,
        event_id="event-1",
        shipment_id="shipment-1",
        channel=Channel.EMAIL,
        recipient="recipient-1",
        status=status,
        template="arrived",
        template_version=1,
        locale="ru",
        lane=Lane.BULK,
        created_at=NOON,
        finished_at=NOON + timedelta(seconds=3),
        **usual,
    )


def event(offset: int, *ids: str) -> EventRecord:
    return EventRecord(
        event_id=f"event-{offset}",
        shipment_id="shipment-1",
        status="arrived",
        disposition=Disposition.ACCEPTED,
        reason=None,
        source=Source(topic="cargo.status.v1", partition=0, offset=offset),
        notifications=tuple(Born(id=one, channel=Channel.EMAIL, recipient="r", lane=Lane.BULK) for one in ids),
        recorded_at=NOON + timedelta(seconds=offset),
    )


async def test_a_final_notification(client, outcomes):
    one = str(uuid.uuid4())
    await outcomes.store_outcomes([outcome(one)])
    response, body = await client.get(f"/v1/notifications/{one}")
    assert response.status == 200
    assert (body["id"], body["status"], body["final"], body["attempts"]) == (one, "delivered", True, 2)
    assert datetime.fromisoformat(body["finished_at"]) == NOON + timedelta(seconds=3)


async def test_a_replay_names_what_it_told_again(client, outcomes):
    died, again = str(uuid.uuid4()), str(uuid.uuid4())
    await outcomes.store_outcomes([outcome(died, Status.TEMPORARY_FAILURE), outcome(again, replay_of=died)])
    bodies = [(await client.get(f"/v1/notifications/{one}"))[1] for one in (died, again)]
    assert [body["replay_of"] for body in bodies] == [None, died]


async def test_one_that_is_on_its_way(client, outcomes):
    one = str(uuid.uuid4())
    await outcomes.store_events([event(1, one)])
    _, body = await client.get(f"/v1/notifications/{one.upper()}")
    assert (body["status"], body["final"], body["finished_at"]) == ("created", False, None)


async def test_every_status_is_in_the_document(client, outcomes):
    finals = [status for status in Status if status not in (Status.CREATED, Status.SENDING)]
    await outcomes.store_outcomes([outcome(str(uuid.uuid4()), status) for status in finals])
    _, body = await client.get("/v1/notifications", shipment_id="shipment-1")
    assert {item["status"] for item in body["notifications"]} == {str(status) for status in finals}


async def test_unknown_is_a_problem_of_404(client):
    response, body = await client.get(f"/v1/notifications/{uuid.uuid4()}")
    assert (response.status, body["status"], body["title"]) == (404, 404, "Not Found")


@pytest.mark.parametrize("wrong", ["1", "not-a-uuid", "0" * 32, "%00", "x" * 4_000])
async def test_a_wrong_id_is_named(client, wrong):
    response, body = await client.get(f"/v1/notifications/{wrong}")
    assert (response.status, body["field"]) == (400, "id")


WRONG_QUERIES = [
    ("no shipment", {}, "shipment_id"),
    ("an empty shipment", {"shipment_id": ""}, "shipment_id"),
    ("a NUL, which Postgres refuses", {"shipment_id": "a\0b"}, "shipment_id"),
    ("a shipment past all bounds", {"shipment_id": "x" * 257}, "shipment_id"),
    ("limit 0", {"shipment_id": "s", "limit": "0"}, "limit"),
    ("limit above the most", {"shipment_id": "s", "limit": "201"}, "limit"),
    ("a limit that is no number", {"shipment_id": "s", "limit": "ten"}, "limit"),
    ("digits of another script", {"shipment_id": "s", "limit": "٣"}, "limit"),
    ("a cursor made up", {"shipment_id": "s", "cursor": "first"}, "cursor"),
    ("a cursor out of time", {"shipment_id": "s", "cursor": "f" * 32}, "cursor"),
    ("an empty cursor", {"shipment_id": "s", "cursor": ""}, "cursor"),
]


@pytest.mark.parametrize(("query", "field"), [row[1:] for row in WRONG_QUERIES], ids=[row[0] for row in WRONG_QUERIES])
async def test_a_wrong_parameter_is_named(client, query, field):
    response, body = await client.get("/v1/notifications", **query)
    assert (response.status, body["field"]) == (400, field)


async def test_a_shipment_is_read_page_by_page(client, outcomes):
    ids = [str(uuid.uuid4()) for _ in range(25)]
    await outcomes.store_events([event(offset, one) for offset, one in enumerate(ids)])
    await outcomes.store_outcomes([outcome(one) for one in ids[::2]])
    listed, cursor = [], {}
    for _ in range(3):
        _, body = await client.get("/v1/notifications", shipment_id="shipment-1", limit=10, **cursor)
        listed += [item["id"] for item in body["notifications"]]
        cursor = {"cursor": body["next_cursor"]}
    assert listed == ids
    assert cursor == {"cursor": None}


@pytest.mark.parametrize("shipment_id", ["nobody's", "x" * 256], ids=["short", "as long as the contract allows"])
async def test_a_shipment_that_nobody_knows_is_empty(client, shipment_id):
    response, body = await client.get("/v1/notifications", shipment_id=shipment_id)
    assert (response.status, body) == (200, {"notifications": [], "next_cursor": None})


@pytest.mark.parametrize("key", [None, "wrong", DIGEST, KEY + " ", KEY.upper()])
async def test_without_the_key_nothing_is_told(client, key):
    response, _ = await client.get(f"/v1/notifications/{uuid.uuid4()}", key=key)
    assert response.status == (401 if key != KEY + " " else 404)  # HTTP itself strips blanks around a value


async def test_with_both_stores_down_it_says_when_to_come_again(deserted):
    response, body = await deserted.get(f"/v1/notifications/{uuid.uuid4()}")
    assert (response.status, body["status"]) == (503, 503)
    assert int(response.headers["Retry-After"]) > 0
    response, _ = await deserted.get("/v1/notifications", shipment_id="shipment-1")
    assert response.status == 503


async def test_with_redis_away_it_answers(database, outcomes, unused_tcp_port):
    one = str(uuid.uuid4())
    await outcomes.store_outcomes([outcome(one)])
    postgres = PostgresStatuses(database, timeout_s=5, pool_size=1)
    cache = StatusCache(f"redis://127.0.0.1:{unused_tcp_port}/0", timeout_s=0.2, ttl_s=60)
    await postgres.start()
    await cache.start()
    async for client in serving(StatusReader(cache, postgres)):
        response, body = await client.get(f"/v1/notifications/{one}")
        assert (response.status, body["status"]) == (200, "delivered")
    await cache.stop()
    await postgres.stop()
