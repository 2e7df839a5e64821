"""What lies in the dead-letter topic now? Read whole, from its beginning to what was its end, by no consumer group."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

import topics
from cli.dlq_plan import PUBLIC
from cli.kafka import ANSWER_S, missing, problem_of
from pipeline.deadletters import DeadLetter, Stored, read
from pipeline.dlq_marks import Histories, Mark, histories

MAX_LETTERS = 100_000
MAX_BYTES = 256 << 20
FETCH_MESSAGES = 500
# A fetch is waited for in full or for this long: the last one always is.
POLL_S = 0.1


class CannotRead(Exception):
    """Says why, for people."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The wanted dead letters, the oldest first, and what was done with every subject there is."""

    letters: list[DeadLetter]
    histories: Histories


@dataclass(frozen=True, slots=True)
class Scan:
    """Every mark, and the bounds of each partition that held something: its first offset, and that after its last."""

    marks: list[Mark]
    bounds: dict[int, tuple[int, int]]


def scan(kafka: str, silence_s: float, visit: Callable[[DeadLetter], None], *, within_s: float | None = None) -> Scan:
    """Shows every dead letter to ``visit``, in the order of its partition, and keeps none.

    Blocks while Kafka delivers: ``silence_s`` bounds each silence, ``within_s`` the whole. Raises CannotRead, and
    whatever ``visit`` does.
    """
    reader = _Reader(kafka, silence_s, visit)
    try:
        return reader.read(within_s)
    except KafkaException as error:
        raise CannotRead(problem_of(kafka, error) + (f": {reader.error}" if reader.error else "")) from error
    finally:
        reader.close()


def read_dead_letters(
    kafka: str, timeout_s: float, wanted: Callable[[DeadLetter], bool], *, with_values: bool
) -> Contents:
    """Blocks while Kafka delivers; ``timeout_s`` bounds each silence.

    Raises CannotRead: Kafka does not answer, there is no such topic, or more is wanted than fits into memory.
    """
    letters: list[DeadLetter] = []
    held_bytes = 0

    def keep(letter: DeadLetter) -> None:
        nonlocal held_bytes
        if not wanted(letter):
            return
        letters.append(letter if with_values else replace(letter, record=replace(letter.record, value=None)))
        held_bytes += letter.size if with_values else 0
        if len(letters) > MAX_LETTERS or held_bytes > MAX_BYTES:
            raise CannotRead(
                f"more than {MAX_LETTERS} dead letters, or {MAX_BYTES >> 20} MiB of them, are meant: "
                "narrow it with --reason, --origin-topic, --channel, --since or --until"
            )

    marks = scan(kafka, timeout_s, keep).marks
    letters.sort(key=lambda one: (one.record.at_ms, one.record.partition, one.record.offset))
    return Contents(letters, histories(marks))


class _Reader:
    def __init__(self, kafka: str, silence_s: float, visit: Callable[[DeadLetter], None]) -> None:
        self.error: str | None = None
        self._kafka = kafka
        self._silence_s = silence_s
        self._visit = visit
        self._marks: list[Mark] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "herald-dlq",  # required by the client; nothing is committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # retention may take the beginning away meanwhile
                "enable.partition.eof": True,
                # Compressed, which is several times as much when it is read. A larger record comes all the same.
                "fetch.message.max.bytes": 256 << 10,
                "queued.max.messages.kbytes": 16_384,
                "log_level": 0,  # what goes wrong is told once, by the command
                "error_cb": self._failing,
            }
        )

    def read(self, within_s: float | None) -> Scan:
        bounds = self._bounds()
        ends = {partition: end for partition, (_, end) in bounds.items()}
        self._consumer.assign([TopicPartition(topics.DLQ, partition, OFFSET_BEGINNING) for partition in ends])
        began = quiet_since = time.monotonic()
        while ends:
            messages = self._consumer.consume(FETCH_MESSAGES, POLL_S)
            for message in messages:
                self._take(message, ends)
            now = time.monotonic()
            if messages:
                quiet_since = now
            elif now > quiet_since + self._silence_s:
                raise CannotRead(f"Kafka at {self._kafka} went silent: {self.error or 'no records, no end'}")
            if within_s is not None and now > began + within_s:
                raise CannotRead(f"reading {topics.DLQ} takes more than {within_s:g} s")
        return Scan(self._marks, bounds)

    def close(self) -> None:
        self._consumer.close()

    def _bounds(self) -> dict[int, tuple[int, int]]:
        within_s = min(self._silence_s, ANSWER_S)
        found = self._consumer.list_topics(topics.DLQ, timeout=within_s).topics[topics.DLQ]
        if found.error is not None:
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise CannotRead(missing(topics.DLQ))
            raise CannotRead(f"{topics.DLQ} at {self._kafka}: {found.error.str()}")
        bounds = {}
        for partition in found.partitions:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(topics.DLQ, partition), timeout=self._silence_s
            )
            if high > low:
                bounds[partition] = (low, high)
        return bounds

    def _take(self, message: Message, ends: dict[int, int]) -> None:
        partition, error = cast(int, message.partition()), message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            ends.pop(partition, None)
        elif partition in ends:
            record = _stored(message, partition)
            found = read(record, PUBLIC)
            if isinstance(found, Mark):
                self._marks.append(found)
            else:
                self._visit(found)
            if record.offset >= ends[partition] - 1:
                del ends[partition]

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
