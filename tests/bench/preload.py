"""How do rows of a former life get into the tables? Through the changelogs, encoded as the pipeline encodes them."""

import random
import time
import uuid
from collections.abc import Iterable, Iterator

import msgspec
from confluent_kafka import Producer

import topics
from pipeline.claims import PartitionClaims
from pipeline.enrich import SeenRow
from pipeline.ledger import Source
from pipeline.notifications import SEPARATOR, Channel, Lane
from settings import Role
from tests.bench.work import encode, shipment, three_phones

# Partition, key, value.
Row = tuple[int, bytes, bytes]

SUBSCRIPTIONS = topics.changelog(topics.group(Role.ENRICH), "subscriptions")
SEEN = topics.changelog(topics.group(Role.ENRICH), "seen")
CLAIMS = topics.changelog(topics.group(Role.SEND_SMS), "claims")

FLUSH_TIMEOUT_S = 60.0
POLL_S = 0.1
POLL_EVERY = 1_000


def preload(kafka: str, topic: str, rows: Iterable[Row]) -> None:
    """Returns when the broker has them. Workers learn of them when they next recover."""
    settings = {"linger.ms": 50, "queue.buffering.max.messages": 1_000_000, "compression.type": "lz4"}
    producer = Producer({"bootstrap.servers": kafka, **settings})
    for number, (partition, key, value) in enumerate(rows):
        while True:
            try:
                producer.produce(topic, value, key, partition)
                break
            except BufferError:
                producer.poll(POLL_S)
        if number % POLL_EVERY == 0:
            producer.poll(0)
    if left := producer.flush(FLUSH_TIMEOUT_S):
        raise RuntimeError(f"{left} records did not reach {topic}")


def subscriptions(count: int, partitions: int) -> Iterator[Row]:
    """Three people for each shipment, where Kafka puts the shipment."""
    for number in range(count):
        key = shipment(number).encode()
        yield topics.partition_of(key, partitions), key, encode(three_phones(number))


def seen(count: int, partitions: int) -> Iterator[Row]:
    """Events that have been dealt with, and that nobody will publish again.

    Their ids are as random as those of `tests.bench.work.status_events`, and lie among them: whoever looks for one of
    those has to look into the files.
    """
    encoder = msgspec.json.Encoder()
    dice = random.Random("former")
    for number in range(count):
        partition = number % partitions
        source = Source(topic=topics.STATUS, partition=partition, offset=number // partitions)
        identity = f"{SEPARATOR}{uuid.UUID(int=dice.getrandbits(128))}"
        yield partition, identity.encode(), encoder.encode(SeenRow(revision=None, source=source))


def claims(count: int, partitions: int, *, at_once: int = 100) -> Iterator[Row]:
    """What one owner writes over and over: a call's claims, then that they are done. The last row leaves none.

    A row stands for a lane partition, so that the table stays small, however many records its changelog has.
    """
    lanes = [topics.lane(Channel.SMS, lane) for lane in Lane]
    now_ms = time.time_ns() // 1_000_000
    for number in range(count // 2 // (len(lanes) * partitions)):
        for lane in lanes:
            for partition in range(partitions):
                key = f"{lane}-{partition}/former".encode()
                one, begin = PartitionClaims(), number * at_once
                claimed = one.claim(range(begin, begin + at_once), now_ms)
                yield partition, key, one.row(begin, now_ms)
                one.finish(claimed)
                # By then the offsets are committed, and leave the row.
                yield partition, key, one.row(begin + at_once, now_ms)
