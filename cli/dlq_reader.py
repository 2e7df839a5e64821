"""What lies in the dead-letter topic now? Read whole, from its beginning to what was its end, by no consumer group."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

import topics
from cli.dlq_plan import PUBLIC
from pipeline.deadletters import DeadLetter, Marker, Stored, read, replays

MAX_LETTERS = 100_000
MAX_BYTES = 256 << 20
FETCH_MESSAGES = 500
# A fetch is waited for in full or for this long: the last one always is.
POLL_S = 0.1


class CannotRead(Exception):
    """Says why, for people."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The wanted dead letters, the oldest first, and how often each subject was replayed."""

    letters: list[DeadLetter]
    replays: dict[str, int]


def read_dead_letters(
    kafka: str, timeout_s: float, wanted: Callable[[DeadLetter], bool], *, with_values: bool
) -> Contents:
    """Blocks while Kafka delivers; ``timeout_s`` bounds each silence.

    Raises CannotRead: Kafka does not answer, there is no such topic, or more is wanted than fits into memory.
    """
    reader = _Reader(kafka, timeout_s, wanted, with_values)
    try:
        return reader.read()
    except KafkaException as error:
        raise CannotRead(f"Kafka at {kafka}: {reader.error or error.args[0].str()}") from error
    finally:
        reader.close()


class _Reader:
    def __init__(self, kafka: str, timeout_s: float, wanted: Callable[[DeadLetter], bool], with_values: bool) -> None:
        self.error: str | None = None
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._wanted = wanted
        self._with_values = with_values
        self._letters: list[DeadLetter] = []
        self._markers: list[Marker] = []
        self._bytes = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "herald-dlq",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # retention may take the beginning away meanwhile
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": 16_384,
                "log_level": 0,  # what goes wrong is told once, by the command
                "error_cb": self._failing,
            }
        )

    def read(self) -> Contents:
        ends = self._ends()
        self._consumer.assign([TopicPartition(topics.DLQ, partition, OFFSET_BEGINNING) for partition in ends])
        quiet_since = time.monotonic()
        while ends:
            messages = self._consumer.consume(FETCH_MESSAGES, POLL_S)
            for message in messages:
                self._take(message, ends)
            if messages:
                quiet_since = time.monotonic()
            elif time.monotonic() > quiet_since + self._timeout_s:
                raise CannotRead(f"Kafka at {self._kafka} went silent: {self.error or 'no records, no end'}")
        self._letters.sort(key=lambda one: (one.record.at_ms, one.record.partition, one.record.offset))
        return Contents(self._letters, replays(self._markers))

    def close(self) -> None:
        self._consumer.close()

    def _ends(self) -> dict[int, int]:
        """The end of each partition that holds something."""
        found = self._consumer.list_topics(topics.DLQ, timeout=self._timeout_s).topics[topics.DLQ]
        if found.error is not None:
            raise CannotRead(f"{topics.DLQ} at {self._kafka}: {found.error.str()}")
        ends = {}
        for partition in found.partitions:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(topics.DLQ, partition), timeout=self._timeout_s
            )
            if high > low:
                ends[partition] = high
        return ends

    def _take(self, message: Message, ends: dict[int, int]) -> None:
        partition, error = cast(int, message.partition()), message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            ends.pop(partition, None)
        elif partition in ends:
            record = _stored(message, partition)
            self._keep(read(record, PUBLIC))
            if record.offset >= ends[partition] - 1:
                del ends[partition]

    def _keep(self, found: DeadLetter | Marker) -> None:
        if isinstance(found, Marker):
            self._markers.append(found)
        elif self._wanted(found):
            self._letters.append(
                found if self._with_values else replace(found, record=replace(found.record, value=None))
            )
            self._bytes += found.size if self._with_values else 0
            if len(self._letters) > MAX_LETTERS or self._bytes > MAX_BYTES:
                raise CannotRead(
                    f"more than {MAX_LETTERS} dead letters, or {MAX_BYTES >> 20} MiB of them, are meant: "
                    "narrow it with --reason, --origin-topic, --channel or --since"
                )

    def _failing(self, error: KafkaError) -> None:
        self.error = error.str()


def _stored(message: Message, partition: int) -> Stored:
    return Stored(
        partition=partition,
        offset=cast(int, message.offset()),
        at_ms=max(message.timestamp()[1], 0),  # Kafka's word for "none" is -1
        key=message.key(),
        value=message.value(),
        headers=cast(list[tuple[str, bytes | None]], message.headers() or []),
    )
