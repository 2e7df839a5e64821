"""When did each notification pass each point? Read afterwards from what the parts themselves have stamped.

Kafka's records carry the time of their producer, status events that of their broker, in whole milliseconds; a
provider's ledger has when it took a message in, before its latency; PostgreSQL has when the transaction of a row was
committed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
from confluent_kafka import Message

import topics
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome
from simulators.launch import Simulator
from simulators.ledger import Result
from tests.bench.figures import Percentiles, percentiles
from tests.chaos import kafka_reader
from tests.chaos.kafka_reader import Offsets

LANES = [topics.lane(channel, lane) for channel in Channel for lane in Lane]
READ = [topics.STATUS, *LANES, topics.OUTCOMES]
COMMITTED = """
    SELECT notification_id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
    FROM notification_outcome WHERE finished_at >= to_timestamp($1)
"""
READ_TIMEOUT_S = 120.0


class _Named(msgspec.Struct, frozen=True):
    """Enough of an event, or of a notification."""

    event_id: str = ""
    id: str = ""


_named = msgspec.json.Decoder(_Named)
_outcome = msgspec.json.Decoder(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One notification; times in epoch seconds.

    ``published``: its event; ``enriched``: it was handed to its lane; ``told``: the provider took it in; ``ended``: its
    outcome, with the provider's answer, went to Kafka; ``stored``: its row was committed.
    """

    channel: Channel
    lane: Lane
    published: float
    enriched: float
    told: float
    ended: float
    stored: float


# What is between two points, in the order of the way.
HOPS: Mapping[str, tuple[str, str]] = {
    "enrich": ("published", "enriched"),
    "send": ("enriched", "told"),
    "answer": ("told", "ended"),
    "store": ("ended", "stored"),
    "until told": ("published", "told"),
    "until its outcome": ("published", "ended"),
    "until its row": ("published", "stored"),
}


def hop(traces: Iterable[Trace], name: str) -> list[float]:
    """Seconds; clocks in whole milliseconds may make one of nothing look negative."""
    begin, end = HOPS[name]
    return [max(0.0, getattr(trace, end) - getattr(trace, begin)) for trace in traces]


def hops(traces: Sequence[Trace]) -> dict[str, Percentiles]:
    return {name: percentiles(hop(traces, name)) for name in HOPS}


def mark(kafka: str) -> Offsets:
    """Where the topics end now: what comes later is read."""
    return kafka_reader.ends(kafka, READ)


async def read_traces(
    kafka: str,
    connection: "asyncpg.Connection[asyncpg.Record]",
    simulators: Iterable[Simulator],
    since: Offsets,
    since_s: float,
) -> list[Trace]:
    """Of every notification that has ended since, in the order of their events. Blocks while Kafka is read.

    Raises KeyError where a point was passed without a trace: whoever accounts for the run has found out before.
    """
    published: dict[str, float] = {}
    enriched: dict[str, float] = {}
    ended: list[tuple[float, Outcome]] = []
    for message in kafka_reader.records(kafka, since, kafka_reader.ends(kafka, READ)):
        at, topic = _at(message), message.topic()
        if topic == topics.STATUS:
            published.setdefault(_named.decode(message.value() or b"").event_id, at)
        elif topic == topics.OUTCOMES:
            ended.append((at, _outcome.decode(message.value() or b"")))
        else:
            enriched.setdefault(_named.decode(message.value() or b"").id, at)
    told = _told(simulators, since_s)
    rows: Any = await connection.fetch(COMMITTED, since_s, timeout=READ_TIMEOUT_S)
    stored = dict(map(tuple, rows))
    traces = [
        Trace(
            channel=outcome.channel,
            lane=outcome.lane,
            published=published[outcome.event_id],
            enriched=enriched[outcome.notification_id],
            told=told[outcome.notification_id],
            ended=at,
            stored=stored[outcome.notification_id],
        )
        for at, outcome in ended
    ]
    return sorted(traces, key=lambda trace: trace.published)


def _told(simulators: Iterable[Simulator], since_s: float) -> dict[str, float]:
    told: dict[str, float] = {}
    for simulator in simulators:
        for entry in simulator.ledger():
            if entry.at >= since_s and entry.result is Result.ACCEPTED:
                told.setdefault(entry.id, entry.at)
    return told


def _at(message: Message) -> float:
    return message.timestamp()[1] / 1000
