"""What an account makes of what Postgres and Kafka answer; the statements themselves need the real ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace

import pytest
from confluent_kafka import TopicPartition

import topics
from cli import account as module
from cli.account import TopicCounter, counted_topics, take_account
from storage import sql
from tests.fakes import T0

Row = tuple[object, ...]


@dataclass
class Database:
    """Answers each statement with its rows; knows of which time it was asked."""

    rows: dict[str, Sequence[Row]]
    asked: list[datetime] = field(default_factory=list)

    async def fetch(self, statement: str, since: datetime, *, timeout: float) -> Sequence[Row]:  # noqa: ASYNC109
        self.asked.append(since)
        return self.rows[statement]


EMPTY: dict[str, Sequence[Row]] = {
    sql.COUNT_DISPOSITIONS: [],
    sql.COUNT_REFUSALS: [],
    sql.COUNT_NOTIFICATIONS: [(0,)],
    sql.COUNT_OUTCOMES: [],
    sql.UNACCOUNTED: [(0, 0.0)],
}


async def test_everything_is_counted_from_the_same_moment_on() -> None:
    database = Database(
        {
            sql.COUNT_DISPOSITIONS: [("accepted", 5), ("refused", 3)],
            sql.COUNT_REFUSALS: [("not JSON", 2), ("not UTF-8", 1)],
            sql.COUNT_NOTIFICATIONS: [(7,)],
            sql.COUNT_OUTCOMES: [("sms", "sent", 4), ("email", "sent", 1), ("email", "permanent-failure", 1)],
            sql.UNACCOUNTED: [(1, 60.0)],
        }
    )
    account = await take_account(database, T0)  # type: ignore[arg-type]
    assert database.asked == [T0] * 5
    assert (account.events, account.dispositions["accepted"]) == (8, 5)
    assert list(account.refusals.items()) == [("not JSON", 2), ("not UTF-8", 1)]
    assert (account.notifications, account.ended, account.unaccounted) == (7, 6, 1)
    assert (account.outcomes["sms", "sent"], account.outcomes["email", "sent"]) == (4, 1)


async def test_before_anything_has_come_all_is_nought() -> None:
    account = await take_account(Database(EMPTY), T0)  # type: ignore[arg-type]
    assert (account.events, account.notifications, account.ended, account.unaccounted) == (0, 0, 0, 0)


class Broker:
    """Topics with the ends of their partitions; stands for the consumer that asks for them."""

    def __init__(self, ends: dict[str, list[int]]) -> None:
        self.ends = ends
        self.closed = False

    def list_topics(self, name: str, timeout: float) -> SimpleNamespace:
        partitions = dict.fromkeys(range(len(self.ends[name])))
        return SimpleNamespace(topics={name: SimpleNamespace(partitions=partitions)})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        # What retention has taken away was produced all the same.
        return 2, self.ends[place.topic][place.partition]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker({topics.DLQ: [3, 0], "retry": [10, 20], "others": [5]})
    monkeypatch.setattr(module, "Consumer", lambda _: broker)
    return broker


def test_records_are_counted_over_all_partitions_from_the_start_of_the_run(broker: Broker) -> None:
    counter = TopicCounter("127.0.0.1:1", [topics.DLQ, "retry"])
    assert counter.count() == Counter()
    broker.ends = {topics.DLQ: [5, 4], "retry": [10, 20], "others": [50]}
    assert counter.count() == Counter({topics.DLQ: 6})
    broker.ends["retry"] = [11, 21]
    assert counter.count() == Counter({topics.DLQ: 6, "retry": 2})
    counter.close()
    assert broker.closed


def test_dead_letters_and_every_tier_are_counted() -> None:
    assert counted_topics((1.0, 30.0)) == [topics.DLQ, topics.retry(1.0), topics.retry(30.0)]
