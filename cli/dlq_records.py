"""How does an operator's command write to Kafka? Through the workers' own producer, for as long as it takes."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence

from streaming.producer import Producer, Record, RecordSink

AT_ONCE = 500


def operator() -> str:
    """The login under which this runs: what a mark says of who made it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "unknown"


def with_producer(kafka: str, work: Callable[[RecordSink], Awaitable[None]]) -> None:
    """Run ``work`` to its end. Raises what it raises."""

    async def run() -> None:
        producer = Producer(kafka, on_produced=lambda topic, records: None)
        producer.start()
        try:
            await work(producer)
        finally:
            await producer.stop()

    asyncio.run(run())


def write(kafka: str, records: Sequence[Record]) -> None:
    """Returns once the broker has all of them. Raises ProduceFailed; then it may have some."""

    async def send(out: RecordSink) -> None:
        for first in range(0, len(records), AT_ONCE):
            await out.send_all(records[first : first + AT_ONCE])

    with_producer(kafka, send)
