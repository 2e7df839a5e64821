"""How do events and subscriptions get from disk onto the pipeline's topics?"""

import time
from collections import Counter
from functools import partial
from pathlib import Path

import click
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from rich.console import Console
from rich.table import Table

from cli.items import BY_NAME, Record, Refusal, read
from cli.kafka import require_topic
from pipeline.strict_json import MAX_BYTES
from settings import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--topic", type=click.Choice(list(BY_NAME)), help="What the files hold; by default their content tells.")
def publish(files: tuple[Path, ...], topic: str | None) -> None:
    """Publish events or subscriptions from JSON, JSON arrays or NDJSON.

    Each item is checked first; one that is refused is not published, and makes the exit code 1.
    """
    settings = Settings()
    outbox = Outbox(settings.kafka, settings.start_timeout_s)
    refused: list[tuple[Path, Refusal]] = []
    for path in files:
        for result in read(path.read_bytes(), BY_NAME[topic] if topic else None):
            if isinstance(result, Record):
                outbox.put(result, path)
            else:
                refused += [(path, refusal) for refusal in result]
    undelivered = outbox.flush()
    _report(Console(), {path: outbox.delivered[path] for path in files}, refused)
    if undelivered:
        raise click.ClickException(f"{undelivered} records did not reach Kafka: {outbox.error or 'no answer in time'}")
    if refused:
        raise SystemExit(1)


class Outbox:
    """What is on its way to Kafka; ``delivered`` counts by file what the broker has acknowledged."""

    def __init__(self, kafka: str, timeout_s: float) -> None:
        self.error: str | None = None
        self.delivered: Counter[Path] = Counter()
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._there: set[str] = set()
        self._failed = 0
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's and the pipeline's own producers place keys
                "message.timeout.ms": int(timeout_s * 1000),
                "message.max.bytes": 2 * MAX_BYTES,
                "log_level": 0,  # what goes wrong is told once, by the command
                "error_cb": self._failing,
            },
        )

    def put(self, record: Record, path: Path) -> None:
        """Blocks while librdkafka's queue is full, for the timeout at most. Raises ClickException."""
        if record.topic not in self._there:
            require_topic(self._kafka, record.topic)
            self._there.add(record.topic)
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers={"content-type": record.content_type},
                    on_delivery=partial(self._delivered, path),
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise click.ClickException("Kafka takes no records: is it up?") from None
                self._producer.poll(0.1)
            except KafkaException as error:
                raise click.ClickException(f"Kafka refuses a record: {error.args[0].str()}") from error
            else:
                self._producer.poll(0)
                return

    def flush(self) -> int:
        """How many records the broker has not acknowledged within the timeout."""
        waiting: int = self._producer.flush(self._timeout_s + 1)
        return waiting + self._failed

    def _delivered(self, path: Path, error: object, message: Message) -> None:
        if error is None:
            self.delivered[path] += 1
        else:
            self._failed += 1
            self.error = self.error or str(error)

    def _failing(self, error: KafkaError) -> None:
        self.error = error.str()


def _report(console: Console, published: dict[Path, int], refused: list[tuple[Path, Refusal]]) -> None:
    totals = Table(title="Published")
    for title in ("file", "published", "refused"):
        totals.add_column(title, justify="left" if title == "file" else "right", overflow="fold")
    for path, count in published.items():
        totals.add_row(str(path), str(count), str(len({r.where for p, r in refused if p == path})))
    console.print(totals)
    if refused:
        reasons = Table(title="Refused")
        for title in ("file", "item", "field", "problem"):
            reasons.add_column(title, overflow="fold")
        for path, refusal in refused:
            reasons.add_row(path.name, refusal.where, refusal.field, refusal.problem)
        console.print(reasons)
