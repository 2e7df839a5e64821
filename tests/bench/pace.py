"""How are events published at a pace? Each at its own time, whatever becomes of those before it."""

import random
import threading
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Producer

from tests.bench.kafka import ASK_TIMEOUT_S
from tests.bench.work import Keyed

# Seconds from the start, and what is published then.
Due = tuple[float, Keyed]

POLL_EVERY_S = 0.05
STOP_TIMEOUT_S = 30.0


def evenly(events: Sequence[Keyed], per_s: float) -> Iterator[Due]:
    for number, event in enumerate(events):
        yield number / per_s, event


def now_and_then(events: Sequence[Keyed], every_s: float, seed: str) -> Iterator[Due]:
    """By half more or less than ``every_s`` after each other, so that they keep no step with a timer of ours."""
    dice, due_s = random.Random(seed), 0.0
    for event in events:
        yield due_s, event
        due_s += every_s * dice.uniform(0.5, 1.5)


class Feed:
    """A thread that publishes; ``late_s`` is how far behind its time an event was at worst.

    With ``linger_ms`` events that come close together share a batch, as those of a publisher with much to say do.
    """

    def __init__(self, kafka: str, topic: str, due: Sequence[Due], *, linger_ms: int) -> None:
        self._kafka = kafka
        self._topic = topic
        self._due = due
        self._linger_ms = linger_ms
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.published = 0
        self.late_s = 0.0

    def start(self) -> None:
        self._thread.start()

    def wait(self) -> None:
        """Returns when the broker has them all; raises what ended it early."""
        self._thread.join((self._due[-1][0] if self._due else 0.0) + STOP_TIMEOUT_S)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise TimeoutError(f"{self.published} of {len(self._due)} events are published")

    def _run(self) -> None:
        try:
            self._publish()
        except Exception as error:  # noqa: BLE001 told to whoever waits
            self._failure = error

    def _publish(self) -> None:
        settings = {"partitioner": "murmur2_random", "linger.ms": self._linger_ms}
        producer = Producer({"bootstrap.servers": self._kafka, **settings})
        producer.list_topics(self._topic, timeout=ASK_TIMEOUT_S)
        start = time.monotonic()
        for due_s, (key, value) in self._due:
            while (wait_s := start + due_s - time.monotonic()) > 0:
                producer.poll(0)
                time.sleep(min(wait_s, POLL_EVERY_S))
            self.late_s = max(self.late_s, -wait_s)
            producer.produce(self._topic, value, key)
            self.published += 1
        if left := producer.flush(ASK_TIMEOUT_S):
            raise RuntimeError(f"{left} records did not reach {self._topic}")
