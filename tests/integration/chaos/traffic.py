"""What flows through the pipeline while its workers are hurt? Some events a second, and an account at the end."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from confluent_kafka import Producer

import topics
from pipeline.vocabulary import StatusCode
from stack import Endpoints
from tests.e2e.cargo import Shipment, encode

SHIPMENTS = 20
EVERY_S = 0.03
TIMEOUT_S = 15.0
LOOK_EVERY_S = 0.2


class Traffic:
    """Of shipments that one person each follows on every channel; goes the direct way."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._postgres = endpoints.postgres
        self._producer = Producer({"bootstrap.servers": endpoints.kafka, "partitioner": "murmur2_random"})
        self._shipments = [Shipment() for _ in range(SHIPMENTS)]
        self._expected: set[str] = set()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        for shipment in self._shipments:
            self._producer.produce(topics.SUBSCRIPTIONS, shipment.subscription(), shipment.key)
        assert self._producer.flush(TIMEOUT_S) == 0
        over = threading.Event()
        thread = threading.Thread(target=self._flow, args=[over], name="traffic")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(TIMEOUT_S)
            assert self._producer.flush(TIMEOUT_S) == 0

    def _flow(self, over: threading.Event) -> None:
        turns = zip(itertools.cycle(self._shipments), itertools.cycle((StatusCode.GTIN, StatusCode.ARRI)), strict=False)
        for shipment, step in turns:
            event = shipment.event(step)
            self._producer.produce(topics.STATUS, encode(event), shipment.key)
            self._producer.poll(0)
            self._expected |= shipment.ids(event).keys()
            if over.wait(EVERY_S):
                return

    def unaccounted(self, *, within_s: float) -> set[str]:
        """The notifications that have not ended by then."""
        deadline = time.monotonic() + within_s
        while (missing := self._expected - self._ended()) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        return missing

    def created_s_ahead(self) -> float:
        """By how much the latest creation of a notification is later than it can have been."""
        (row,) = self._fetch("SELECT max(created_at) - now() AS ahead FROM notification_outcome")
        return float(row["ahead"].total_seconds())

    def _ended(self) -> set[str]:
        return {str(row["notification_id"]) for row in self._fetch("SELECT notification_id FROM notification_outcome")}

    def _fetch(self, statement: str) -> list[asyncpg.Record]:
        async def fetch() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self._postgres, timeout=TIMEOUT_S)
            try:
                return list(await connection.fetch(statement, timeout=TIMEOUT_S))
            finally:
                await connection.close()

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(fetch())
