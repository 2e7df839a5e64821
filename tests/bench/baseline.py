"""The pipeline's durable work, written by hand on aiokafka: what Cargo Herald is measured against.

Three loops over real Kafka, Postgres and Redis, a process each, as Cargo Herald's roles are:

1. enrich: status topic → decode, join a subscription, render → three channel topics (acks=all, then commit)
2. send:   channel topics → claim in a compacted topic (acks=all, before the call) → one provider call for every
           ``--batch`` messages, ``--parallel`` calls at once → outcome and claim released (acks=all), then commit
3. sink:   outcome topic → COPY into a temporary table → INSERT … ON CONFLICT DO NOTHING, status into Redis, commit

It has no validation, retries, dead letters, ledger, metrics or rebalance care, and is written as such jobs are. A loop
says that it is ready once its partitions are assigned, and runs until SIGTERM; it is measured from outside.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis.asyncio import Redis

from tests.bench.work import PEOPLE, SHIPMENTS, encode, phone, shipment

CHANNELS = ("sms", "email", "push")
STATUS, OUTCOMES, IN_FLIGHT = "status", "outcomes", "in-flight"
TEMPLATE = "Shipment {shipment_id}: {status} at {place}, {at}. ETA {eta}. Details: https://example.org/t/{shipment_id}"
COLUMNS = ("notification_id", "event_id", "shipment_id", "channel", "status", "attempts", "finished_at")
TABLE = "baseline_outcome"
CREATE_TABLE = f"""
CREATE TABLE {TABLE} (
    notification_id text PRIMARY KEY, event_id text, shipment_id text, channel text, status text, attempts int,
    finished_at float8
)
"""
KEEP = f"INSERT INTO {TABLE} SELECT * FROM staged ON CONFLICT DO NOTHING"  # noqa: S608 our own name
READY = "ready"

decode = msgspec.json.Decoder().decode

Message = tuple[str, bytes | None, bytes | None]


async def enrich(options: argparse.Namespace, exits: AsyncExitStack) -> None:
    subscribed = {shipment(i): dict(zip(CHANNELS, phones(i), strict=True)) for i in range(SHIPMENTS)}
    producer = await open_producer(exits, options)
    consumer = await open_consumer(exits, options, STATUS)
    async for records in fetches(consumer):
        messages: list[Message] = []
        for record in records:
            event = decode(record.value)
            contact = subscribed[event["shipment_id"]]
            text = TEMPLATE.format(
                shipment_id=event["shipment_id"],
                status=event["status"],
                place=event["location"]["name"],
                at=event["occurred_at"],
                eta=event["estimated_arrival"],
            )
            for channel in CHANNELS:
                notification = {
                    "id": f"{event['event_id']}:{channel}",
                    "event_id": event["event_id"],
                    "shipment_id": event["shipment_id"],
                    "channel": channel,
                    "to": contact[channel],
                    "body": text,
                    "attempt": 0,
                }
                messages.append((topic(options.run, channel), record.key, encode(notification)))
        await send_all(producer, messages)
        await consumer.commit()


def phones(number: int) -> list[str]:
    return [phone(PEOPLE * number + one) for one in range(PEOPLE)]


async def send(options: argparse.Namespace, exits: AsyncExitStack) -> None:
    connector = aiohttp.TCPConnector(limit=options.parallel)
    session = await exits.enter_async_context(aiohttp.ClientSession(connector=connector))
    producer = await open_producer(exits, options)
    consumer = await open_consumer(exits, options, *CHANNELS)
    gate = asyncio.Semaphore(options.parallel)
    size, in_flight, out = options.batch, topic(options.run, IN_FLIGHT), topic(options.run, OUTCOMES)

    async def call(batch: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        body = encode({"messages": [{"id": one["id"], "to": one["to"], "text": one["body"]} for one in batch]})
        headers = {"Authorization": "Bearer simulated"}
        async with gate, session.post(options.provider, data=body, headers=headers) as response:
            response.raise_for_status()
            results: list[dict[str, Any]] = decode(await response.read())["results"]
            return results

    async for records in fetches(consumer):
        notifications = [decode(record.value) for record in records]
        claim = {"state": "claimed", "attempt": 0}
        await send_all(producer, [(in_flight, one["id"].encode(), encode(claim)) for one in notifications])
        batches = [notifications[i : i + size] for i in range(0, len(notifications), size)]
        results = itertools.chain.from_iterable(await asyncio.gather(*map(call, batches)))
        messages: list[Message] = []
        for notification, result in zip(notifications, results, strict=True):
            key = notification["id"].encode()
            outcome = {
                "notification_id": notification["id"],
                "event_id": notification["event_id"],
                "shipment_id": notification["shipment_id"],
                "channel": notification["channel"],
                "status": "sent" if result["status"] == "accepted" else "failed",
                "attempts": 1,
                "finished_at": time.time(),
            }
            messages.append((out, key, encode(outcome)))
            messages.append((in_flight, key, None))
        await send_all(producer, messages)
        await consumer.commit()


async def sink(options: argparse.Namespace, exits: AsyncExitStack) -> None:
    pool = await exits.enter_async_context(asyncpg.create_pool(options.postgres, min_size=1, max_size=2))
    redis = await exits.enter_async_context(Redis.from_url(options.redis))
    consumer = await open_consumer(exits, options, OUTCOMES)
    async for records in fetches(consumer):
        outcomes = [decode(record.value) for record in records]
        rows = [tuple(outcome[column] for column in COLUMNS) for outcome in outcomes]
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(f"CREATE TEMP TABLE staged (LIKE {TABLE}) ON COMMIT DROP")
            await connection.copy_records_to_table("staged", records=rows, columns=COLUMNS)
            await connection.execute(KEEP)
        async with redis.pipeline(transaction=False) as pipe:
            for row in rows:
                pipe.set(f"baseline:{row[0]}", row[4], ex=3600)
            await pipe.execute()
        await consumer.commit()


def topic(run: str, name: str) -> str:
    return f"{run}.{name}"


async def send_all(producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
    """Returns when the broker has acknowledged them all."""
    futures = [await producer.send(topic, value, key=key) for topic, key, value in messages]
    await asyncio.gather(*futures)


async def fetches(consumer: AIOKafkaConsumer) -> AsyncIterator[list[Any]]:
    while True:
        polled = await consumer.getmany(timeout_ms=50, max_records=2000)
        if polled:
            yield [record for records in polled.values() for record in records]


async def open_producer(exits: AsyncExitStack, options: argparse.Namespace) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=options.kafka, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=1 << 18
    )
    await producer.start()
    exits.push_async_callback(producer.stop)
    return producer


async def open_consumer(exits: AsyncExitStack, options: argparse.Namespace, *names: str) -> AIOKafkaConsumer:
    """Says that it is ready when it knows where to read from."""
    consumer = AIOKafkaConsumer(
        *(topic(options.run, name) for name in names),
        bootstrap_servers=options.kafka,
        group_id=f"{options.run}-{options.loop}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    exits.push_async_callback(consumer.stop)
    for partition in consumer.assignment():
        await consumer.position(partition)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    return consumer


LOOPS: dict[str, Callable[[argparse.Namespace, AsyncExitStack], Coroutine[Any, Any, None]]] = {
    "enrich": enrich,
    "send": send,
    "sink": sink,
}


async def main(options: argparse.Namespace) -> None:
    async with AsyncExitStack() as exits:
        loop = asyncio.create_task(LOOPS[options.loop](options, exits))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.cancel)
        await asyncio.wait({loop})
        if not loop.cancelled():
            loop.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=LOOPS, required=True)
    parser.add_argument("--run", required=True, help="what the names of topics and groups begin with")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--provider", required=True, help="URL of the batch API")
    parser.add_argument("--batch", type=int, required=True, help="messages in one provider call")
    parser.add_argument("--parallel", type=int, required=True, help="provider calls at once")
    uvloop.run(main(parser.parse_args()))
