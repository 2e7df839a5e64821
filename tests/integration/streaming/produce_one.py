"""A process that puts one record into its producer's queue, says so, and tells what became of it: for `test_frozen`."""

import asyncio
import sys

import click
import structlog

from streaming.producer import Producer, Record, TimedOut


async def main(kafka: str, topic: str, stale_after_s: float, gather_s: float) -> None:
    producer = Producer(kafka, on_produced=lambda *_: None, stale_after_s=stale_after_s, gather_s=gather_s)
    producer.start()
    # Its broker is known from here on.
    await producer.send_all([Record(topic, None, b"first")])
    sending = asyncio.create_task(producer.send_all([Record(topic, None, b"second")]))
    await asyncio.sleep(0)
    click.echo("queued")
    try:
        await sending
        click.echo("sent")
    except TimedOut:
        click.echo("stale")
    await producer.stop()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    kafka, topic, stale_after_s, gather_s = sys.argv[1:]
    asyncio.run(main(kafka, topic, float(stale_after_s), float(gather_s)))
