"""The pipeline's durable work, written by hand on aiokafka: what Cargo Herald is measured against.

One process, one event loop, three loops over real Kafka, Postgres and Redis:

1. enrich: status topic → decode, join a subscription, render → three channel topics (acks=all, then commit)
2. send:   channel topics → claim in a compacted topic (acks=all, before the call) → one provider call for every
           ``--batch`` messages, ``--parallel`` calls at once → outcome and claim released (acks=all), then commit
3. sink:   outcome topic → COPY into a temporary table → INSERT … ON CONFLICT DO NOTHING, status into Redis, commit

It has no validation, retries, dead letters, ledger, metrics or rebalance care: a lower bound on the work. Prints one
line of JSON: the time from the first status event read to the last row in Postgres, and the CPU that it took.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from tests.bench.work import SHIPMENTS, device, email, encode, phone, shipment, status_events

CHANNELS = ("sms", "email", "push")
TEMPLATE = "Shipment {shipment_id}: {status} at {place}, {at}. ETA {eta}. Details: https://example.org/t/{shipment_id}"
COLUMNS = ("notification_id", "event_id", "shipment_id", "channel", "status", "attempts", "finished_at")
TABLE = """
CREATE TABLE IF NOT EXISTS baseline_outcome (
    notification_id text PRIMARY KEY, event_id text, shipment_id text, channel text, status text, attempts int,
    finished_at float8
)
"""
FILL_AT_ONCE = 5_000
CREATE_TIMEOUT_S = 30.0

decode = msgspec.json.Decoder().decode

Message = tuple[str, bytes | None, bytes | None]


@dataclass
class Clock:
    start: float = 0.0
    end: float = 0.0


@dataclass(kw_only=True)
class Job:
    """One run, under topic names of its own."""

    run: str
    options: argparse.Namespace
    producer: AIOKafkaProducer
    session: aiohttp.ClientSession
    pool: "asyncpg.Pool[asyncpg.Record]"
    redis: Redis
    clock: Clock = field(default_factory=Clock)

    async def send_all(self, messages: Sequence[Message]) -> None:
        """Returns when the broker has acknowledged them all."""
        futures = [await self.producer.send(topic, value, key=key) for topic, key, value in messages]
        await asyncio.gather(*futures)

    async def enrich(self, consumer: AIOKafkaConsumer) -> None:
        subscribed = {shipment(i): {"sms": phone(i), "email": email(i), "push": device(i)} for i in range(SHIPMENTS)}
        async for records in fetches(consumer):
            self.clock.start = self.clock.start or time.perf_counter()
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
                    messages.append((f"{self.run}.{channel}", record.key, encode(notification)))
            await self.send_all(messages)
            await consumer.commit()

    async def send(self, consumer: AIOKafkaConsumer) -> None:
        gate = asyncio.Semaphore(self.options.parallel)
        size, in_flight = self.options.batch, f"{self.run}.in-flight"

        async def call(batch: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
            async with gate:
                return await self._call(batch)

        async for records in fetches(consumer):
            notifications = [decode(record.value) for record in records]
            claim = {"state": "claimed", "attempt": 0}
            await self.send_all([(in_flight, one["id"].encode(), encode(claim)) for one in notifications])
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
                messages.append((f"{self.run}.outcomes", key, encode(outcome)))
                messages.append((in_flight, key, None))
            await self.send_all(messages)
            await consumer.commit()

    async def _call(self, batch: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        body = encode({"messages": [{"id": one["id"], "to": one["to"], "text": one["body"]} for one in batch]})
        headers = {"Authorization": "Bearer simulated"}
        async with self.session.post(self.options.provider, data=body, headers=headers) as response:
            response.raise_for_status()
            results: list[dict[str, Any]] = decode(await response.read())["results"]
            return results

    async def sink(self, consumer: AIOKafkaConsumer, total: int) -> None:
        """Returns when ``total`` rows are stored."""
        stored = 0
        async for records in fetches(consumer):
            outcomes = [decode(record.value) for record in records]
            rows = [tuple(outcome[column] for column in COLUMNS) for outcome in outcomes]
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("CREATE TEMP TABLE staged (LIKE baseline_outcome) ON COMMIT DROP")
                await connection.copy_records_to_table("staged", records=rows, columns=COLUMNS)
                done = await connection.execute(
                    "INSERT INTO baseline_outcome SELECT * FROM staged ON CONFLICT DO NOTHING"
                )
            async with self.redis.pipeline(transaction=False) as pipe:
                for row in rows:
                    pipe.set(f"baseline:{row[0]}", row[4], ex=3600)
                await pipe.execute()
            await consumer.commit()
            stored += int(done.split()[-1])
            if stored >= total:
                self.clock.end = time.perf_counter()
                return


async def fetches(consumer: AIOKafkaConsumer) -> AsyncIterator[list[Any]]:
    while True:
        polled = await consumer.getmany(timeout_ms=50, max_records=2000)
        if polled:
            yield [record for records in polled.values() for record in records]


async def create_topics(options: argparse.Namespace, run: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=options.kafka)
    await admin.start()
    names = [f"{run}.{name}" for name in ("status", *CHANNELS, "outcomes")]
    new = [NewTopic(name, options.partitions, 1) for name in names]
    compacted = {"cleanup.policy": "compact"}
    new.append(NewTopic(f"{run}.in-flight", options.partitions, 1, topic_configs=compacted))
    await admin.create_topics(new)
    async with asyncio.timeout(CREATE_TIMEOUT_S):
        while not all(map(led, await admin.describe_topics([one.name for one in new]))):  # noqa: ASYNC110 no event tells
            await asyncio.sleep(0.05)
    await admin.close()


def led(topic: dict[str, Any]) -> bool:
    """Whether each partition has its leader: a topic is created before it can be used."""
    return bool(topic["partitions"]) and all(one["leader"] >= 0 for one in topic["partitions"])


async def consume(exits: AsyncExitStack, options: argparse.Namespace, group: str, *names: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        *names,
        bootstrap_servers=options.kafka,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    exits.push_async_callback(consumer.stop)
    return consumer


async def main(options: argparse.Namespace) -> None:
    run, total = f"baseline-{time.time_ns()}", options.events * len(CHANNELS)
    await create_topics(options, run)
    async with AsyncExitStack() as exits:
        producer = AIOKafkaProducer(
            bootstrap_servers=options.kafka, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=1 << 18
        )
        await producer.start()
        exits.push_async_callback(producer.stop)
        connector = aiohttp.TCPConnector(limit=options.parallel)
        job = Job(
            run=run,
            options=options,
            producer=producer,
            session=await exits.enter_async_context(aiohttp.ClientSession(connector=connector)),
            pool=await exits.enter_async_context(asyncpg.create_pool(options.postgres, min_size=1, max_size=2)),
            redis=await exits.enter_async_context(Redis.from_url(options.redis)),
        )
        await job.pool.execute(TABLE)
        seed = [(f"{run}.status", key, value) for key, value in status_events(options.seed, options.events)]
        for begin in range(0, len(seed), FILL_AT_ONCE):
            await job.send_all(seed[begin : begin + FILL_AT_ONCE])
        sinks = await consume(exits, options, f"{run}-sink", f"{run}.outcomes")
        sends = await consume(exits, options, f"{run}-send", *(f"{run}.{channel}" for channel in CHANNELS))
        cpu = time.process_time()
        enriches = await consume(exits, options, f"{run}-enrich", f"{run}.status")
        loops = [asyncio.create_task(job.enrich(enriches)), asyncio.create_task(job.send(sends))]
        last = asyncio.create_task(job.sink(sinks, total))
        done, _ = await asyncio.wait({last, *loops}, timeout=options.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if last not in done:
            raise SystemExit(f"not finished after {options.timeout_s} s")
        cpu = time.process_time() - cpu
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    seconds = job.clock.end - job.clock.start
    sys.stdout.write(encode({"notifications": total, "seconds": seconds, "cpu_seconds": cpu}).decode() + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--provider", required=True, help="URL of the batch API")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--batch", type=int, default=100, help="messages in one provider call")
    parser.add_argument("--parallel", type=int, default=32, help="provider calls at once")
    parser.add_argument("--timeout-s", type=float, default=300)
    uvloop.run(main(parser.parse_args()))
