"""What would a competent team write on plain Faust? The core of this pipeline, as Faust's own guide shows it.

    faust -A tests.chaos.plain.app worker

From https://faust-streaming.github.io/faust/userguide/: models and ``serializer="json"`` (models), ``async for`` and
``@app.agent(topic)`` (agents), ``stream.take(n, within=s)`` for batches (streams, "Buffer up values in the stream"),
a table that one stream fills and a co-partitioned one reads (tables), ``await topic.send(key=, value=)`` (channels,
agents), ``store="rocksdb://"`` and ``processing_guarantee`` (settings). Acks, commits and producers are as they come.

What the guide leaves to its reader is done as well as it can be without leaving it: ids are made of what they stand
for, rows are written with ON CONFLICT, every call has a time limit, and errors that can be foreseen are caught. A call
that failed is sent to a retry topic with the time that it is due at; Postgres is asked again until it answers. With
``PLAIN_ERRORS=raise`` the two are not caught: the guide ("When agents raise an error") says what happens then.
"""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import aiohttp
import asyncpg
import faust

import topics
from tests.chaos.plain.names import BULK_LANE, OUTCOMES, PARTITIONS, PLAIN, RETRY, SUBSCRIPTIONS_TABLE, URGENT_LANE

BATCH, BATCH_WITHIN_S = 50, 0.2
PROVIDER_TIMEOUT_S = 3.0
POSTGRES_TIMEOUT_S = 10.0
# Together a minute and a half: longer than the provider is ever away.
ATTEMPTS = 12
LONGEST_DELAY_S = 10.0
SUBSCRIPTION_GRACE_S = 5.0
URGENT = frozenset({"HOLD", "CUSI"})
CATCHES = os.environ.get("PLAIN_ERRORS", "retry") == "retry"
INSERT = f"INSERT INTO {PLAIN} (notification_id, status, attempts) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"  # noqa: S608

PROVIDER_ERRORS = (aiohttp.ClientError, TimeoutError)
POSTGRES_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

log = logging.getLogger(__name__)

app = faust.App(
    PLAIN,
    broker=f"kafka://{os.environ['PLAIN_KAFKA']}",
    store="rocksdb://",
    datadir=os.environ["PLAIN_DATA_DIR"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    processing_guarantee=os.environ.get("PLAIN_GUARANTEE", "at_least_once"),
    # As short as in our own end-to-end tests; the default of a minute makes each takeover so much longer.
    broker_session_timeout=6.0,
    broker_heartbeat_interval=2.0,
)


class Event(faust.Record, serializer="json"):
    event_id: str
    shipment_id: str
    status: str
    occurred_at: str


class Subscription(faust.Record, serializer="json"):
    shipment_id: str
    recipients: list[dict[str, Any]]


class Notification(faust.Record, serializer="json"):
    id: str
    recipient: str
    to: str
    text: str
    urgent: bool = False
    attempts: int = 0
    due_at: float = 0.0


class Outcome(faust.Record, serializer="json"):
    notification_id: str
    status: str
    attempts: int


statuses = app.topic(topics.STATUS, value_type=Event)
subscribed = app.topic(topics.SUBSCRIPTIONS, value_type=Subscription)
urgent_lane = app.topic(URGENT_LANE, value_type=Notification)
bulk_lane = app.topic(BULK_LANE, value_type=Notification)
lanes = app.topic(URGENT_LANE, BULK_LANE, value_type=Notification)
waiting = app.topic(RETRY, value_type=Notification)
outcomes = app.topic(OUTCOMES, value_type=Outcome)

subscriptions = app.Table(SUBSCRIPTIONS_TABLE, default=list, partitions=PARTITIONS)


@app.agent(subscribed)
async def subscribe(stream: faust.StreamT[Subscription]) -> None:
    async for subscription in stream:
        subscriptions[subscription.shipment_id] = subscription.recipients


@app.agent(statuses)
async def enrich(stream: faust.StreamT[Event]) -> None:
    async for event in stream:
        for recipient in await followers(event.shipment_id):
            notification = Notification(
                id=f"{event.event_id}:{recipient['recipient_id']}",
                recipient=recipient["recipient_id"],
                to=recipient["addresses"]["sms"],
                text=f"Shipment {event.shipment_id}: {event.status} at {event.occurred_at}",
                urgent=event.status in URGENT,
            )
            await lane_of(notification).send(key=notification.recipient, value=notification)


async def followers(shipment_id: str) -> list[dict[str, Any]]:
    """A subscription that is published before an event may still come in after it: they are two topics."""
    deadline = time.monotonic() + SUBSCRIPTION_GRACE_S
    while not (found := subscriptions[shipment_id]) and time.monotonic() < deadline:  # noqa: ASYNC110 -- a table tells nobody
        await asyncio.sleep(0.1)
    if not found:
        log.warning("nobody follows %s", shipment_id)
    return list(found)


def lane_of(notification: Notification) -> faust.TopicT:
    return urgent_lane if notification.urgent else bulk_lane


@app.agent(lanes)
async def send(stream: faust.StreamT[Notification]) -> None:
    async for batch in stream.take(BATCH, within=BATCH_WITHIN_S):
        try:
            results = await call_provider(batch)
        except PROVIDER_ERRORS:
            if not CATCHES:
                raise
            for notification in batch:
                await try_again(notification)
        else:
            for notification in batch:
                await finish(notification, results[notification.id])


async def call_provider(batch: Sequence[Notification]) -> dict[str, str]:
    """The provider's word on each message by its id. Raises one of `PROVIDER_ERRORS`."""
    messages = [{"id": one.id, "to": one.to, "text": one.text} for one in batch]
    async with provider().post(os.environ["PLAIN_PROVIDER"], json={"messages": messages}) as response:
        response.raise_for_status()
        answer = await response.json()
    return {result["id"]: result["status"] for result in answer["results"]}


async def finish(notification: Notification, status: str) -> None:
    outcome = Outcome(notification_id=notification.id, status=status, attempts=notification.attempts + 1)
    await outcomes.send(key=notification.id, value=outcome)


async def try_again(notification: Notification) -> None:
    attempts = notification.attempts + 1
    if attempts == ATTEMPTS:
        await finish(notification, "given-up")
        return
    due_at = time.time() + min(2.0 ** (attempts - 1), LONGEST_DELAY_S)
    await waiting.send(key=notification.recipient, value=notification.derive(attempts=attempts, due_at=due_at))


@app.agent(waiting)
async def retry(stream: faust.StreamT[Notification]) -> None:
    async for notification in stream:
        await asyncio.sleep(max(0.0, notification.due_at - time.time()))
        await lane_of(notification).send(key=notification.recipient, value=notification)


@app.agent(outcomes)
async def store(stream: faust.StreamT[Outcome]) -> None:
    async for batch in stream.take(BATCH, within=BATCH_WITHIN_S):
        rows = [(one.notification_id, one.status, one.attempts) for one in batch]
        while True:
            try:
                await (await postgres()).executemany(INSERT, rows, timeout=POSTGRES_TIMEOUT_S)
            except POSTGRES_ERRORS:
                if not CATCHES:
                    raise
                await asyncio.sleep(1.0)
            else:
                break


@app.on_before_shutdown.connect
async def close(app: faust.App, *_: Any, **__: Any) -> None:
    if provider.cache_info().currsize:
        await provider().close()
    for pool in _pools:
        pool.terminate()


@cache
def provider() -> aiohttp.ClientSession:
    """Only from within a task: a session belongs to the loop that it is made in."""
    return aiohttp.ClientSession(
        headers={"Authorization": "Bearer simulated"}, timeout=aiohttp.ClientTimeout(total=PROVIDER_TIMEOUT_S)
    )


_pools: list[asyncpg.Pool] = []


async def postgres() -> asyncpg.Pool:
    if not _pools:
        dsn = os.environ["PLAIN_POSTGRES"]
        _pools.append(await asyncpg.create_pool(dsn, min_size=1, max_size=2, timeout=POSTGRES_TIMEOUT_S))
    return _pools[0]
