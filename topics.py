"""Every topic by name: what its key is, how many partitions it has, how long it keeps, and who reads it.

Topics that share a key are co-partitioned, so that every lookup is local to a worker: those keyed by shipment feed
enrich, those keyed by recipient feed send.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import NamedTuple

from aiokafka.partitioner import murmur2

from pipeline.notifications import Channel, Lane

STATUS = "cargo.status.v1"
SUBSCRIPTIONS = "cargo.subscriptions.v1"
STATUS_AGAIN = "herald.status.v1"
LEDGER = "herald.ledger.v1"
OUTCOMES = "herald.outcomes.v1"
DLQ = "herald.dlq.v1"

DAY_MS = 86_400_000

# Of these more does as well.
AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})
FOR_EVER = "-1"


class Misfit(NamedTuple):
    """A setting of a topic as it is, and as it should be."""

    setting: str
    now: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.now}, not {self.wanted}"


@dataclass(frozen=True, kw_only=True)
class Topic:
    name: str
    key: str
    config: dict[str, str] = field(default_factory=dict)

    def misfits(self, there: Mapping[str, str]) -> list[Misfit]:
        """Which settings of the topic that is there do not serve: those that keep or take less, or are others."""
        return [
            Misfit(name, there[name], wanted)
            for name, wanted in self.config.items()
            if not _serves(name, there[name], wanted)
        ]


def _serves(setting: str, there: str, wanted: str) -> bool:
    if setting in AT_LEAST:
        return there == FOR_EVER or int(there) >= int(wanted)
    return set(there.split(",")) == set(wanted.split(","))


@cache
def lane(channel: Channel, lane: Lane) -> str:
    return f"herald.{channel}.{lane}.v1"


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's own partitioner puts a key; other clients' defaults (librdkafka's is CRC32) put it elsewhere."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def tier_name(delay_s: float) -> str:
    """``30s``; milliseconds where a tier is no whole number of seconds."""
    ms = round(delay_s * 1000)
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


def retry(delay_s: float) -> str:
    """One topic a tier: ``herald.retry.30s.v1``."""
    return f"herald.retry.{tier_name(delay_s)}.v1"


def group(role: str) -> str:
    """A role's Faust app and consumer group have the same name."""
    return f"herald-{role}"


def static_member(instance: str, names: Iterable[str], partitions: int) -> str:
    """The ``group.instance.id`` of a worker that has to do with these topics, each of so many ``partitions`` by its
    settings: another one where they are others.

    Kafka gives a static member that comes back within its session what it had, and does not look at what it asks for
    now: nobody would read a new retry tier, and what waits there would wait until somebody else joins.
    """
    digest = hashlib.sha256(f"{partitions} {' '.join(sorted(names))}".encode()).hexdigest()
    return f"{instance}.{digest[:8]}"


def instance_of(member: str) -> str:
    """The instance that a `static_member` is of."""
    return member.rpartition(".")[0] or member


def changelog(group: str, table: str) -> str:
    """As Faust names the changelog of a table."""
    return f"{group}-{table}-changelog"


def all_topics(retry_tiers_s: tuple[float, ...], seen_for_s: float) -> list[Topic]:
    """What ``herald topics create`` creates, and what a broker must have before a worker starts.

    Changelogs are among them: one that a worker makes while it joins its group may be left out of the assignment.
    """
    week = {"retention.ms": str(7 * DAY_MS)}
    # Five megabytes of somebody's mistake must come in, and reach the dead letters whole. What is made of the largest
    # event or subscription that is taken may be larger than the megabyte that brokers take by default, too.
    large = {"max.message.bytes": str(16 << 20)}
    compacted = {"cleanup.policy": "compact"}
    return [
        # Publishers' clocks decide neither when an event was first seen nor, with it, when Kafka may delete it unread.
        Topic(name=STATUS, key="shipment", config=week | large | {"message.timestamp.type": "LogAppendTime"}),
        Topic(name=SUBSCRIPTIONS, key="shipment", config=compacted | large),
        Topic(name=STATUS_AGAIN, key="shipment", config=week | large),
        Topic(name=LEDGER, key="shipment", config=week | large),
        *(Topic(name=lane(channel, one), key="recipient", config=week) for channel in Channel for one in Lane),
        *(Topic(name=retry(tier), key="as its target", config=week | large) for tier in retry_tiers_s),
        Topic(name=OUTCOMES, key="notification", config=week),
        Topic(name=DLQ, key="as its origin", config={"retention.ms": str(30 * DAY_MS), **large}),
        Topic(name=changelog(group("enrich"), "subscriptions"), key="shipment", config=compacted | large),
        Topic(
            name=changelog(group("enrich"), "seen"),
            key="event",
            config={"cleanup.policy": "compact,delete", "retention.ms": str(round(seen_for_s * 1000))},
        ),
        *(
            Topic(name=changelog(group(f"send-{channel}"), "claims"), key="lane partition", config=compacted)
            for channel in Channel
        ),
    ]


def read_by(retry_tiers_s: Sequence[float]) -> dict[str, tuple[str, ...]]:
    """What each group commits offsets of. The API has none: it asks Postgres and Redis alone."""
    tiers = tuple(map(retry, retry_tiers_s))
    return {
        group("enrich"): (STATUS, STATUS_AGAIN, SUBSCRIPTIONS),
        **{group(f"send-{channel}"): tuple(lane(channel, one) for one in Lane) for channel in Channel},
        group("retry"): tiers,
        group("sink"): (OUTCOMES, LEDGER, *tiers),
    }
