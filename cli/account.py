"""What became of everything? The account of a run: Postgres, the dead letters, what the providers say they heard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from confluent_kafka import Consumer, TopicPartition

import topics
from simulators.launch import Kind, Simulator
from simulators.ledger import Summary
from storage import sql

TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """Counts since the start of a run, as Postgres has them."""

    dispositions: Counter[str]
    refusals: Mapping[str, int]
    notifications: int
    outcomes: Counter[tuple[str, str]]
    unaccounted: int

    @property
    def events(self) -> int:
        return self.dispositions.total()

    @property
    def ended(self) -> int:
        return self.outcomes.total()


async def take_account(connection: "asyncpg.Connection[asyncpg.Record]", since: datetime) -> Account:
    """What Postgres knows now. Raises asyncpg's errors and TimeoutError."""

    async def rows(query: str) -> Sequence[asyncpg.Record]:
        found: Sequence[asyncpg.Record] = await connection.fetch(query, since, timeout=TIMEOUT_S)
        return found

    return Account(
        dispositions=Counter({row[0]: row[1] for row in await rows(sql.COUNT_DISPOSITIONS)}),
        refusals={row[0]: row[1] for row in await rows(sql.COUNT_REFUSALS)},
        notifications=(await rows(sql.COUNT_NOTIFICATIONS))[0][0],
        outcomes=Counter({(row[0], row[1]): row[2] for row in await rows(sql.COUNT_OUTCOMES)}),
        unaccounted=(await rows(sql.UNACCOUNTED))[0][0],
    )


class TopicCounter:
    """How many records have been produced to some topics since this was made."""

    def __init__(self, kafka: str, names: Sequence[str]) -> None:
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "herald-account", "log_level": 0})
        self._names = names
        self._before = self._ends()

    def count(self) -> Counter[str]:
        return self._ends() - self._before

    def close(self) -> None:
        self._consumer.close()

    def _ends(self) -> Counter[str]:
        ends: Counter[str] = Counter()
        for name in self._names:
            for partition in self._consumer.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=TIMEOUT_S)
                ends[name] += end
        return ends


def told(simulators: Mapping[Kind, Simulator]) -> dict[Kind, Summary]:
    return {kind: simulator.summary() for kind, simulator in simulators.items()}


def counted_topics(tiers_s: tuple[float, ...]) -> list[str]:
    return [topics.DLQ, *map(topics.retry, tiers_s)]
