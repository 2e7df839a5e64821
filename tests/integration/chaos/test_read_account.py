"""What the pipeline writes is what the account reads: records made by its own code, on a real broker and Postgres."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

import topics
from cli.topics import create_topics
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from settings import Settings
from storage.postgres import PostgresOutcomes
from tests.chaos import kafka_reader, ledgers
from tests.chaos.account import SINK, Rules
from tests.chaos.checker import check
from tests.chaos.ledgers import Sources
from tests.chaos.load import Load, LoadPolicy
from tests.chaos.published import Kind
from tests.chaos.verdict import Breach
from tests.e2e.cargo import unique
from tests.integration.chaos.by_hand import ACCEPTED, NOT_NOW, TIERS_S, TIMEOUT_S, ByHand

RULES = Rules(circuit_grace_s=1.0, probe_every_s=1.0)


def commit(kafka: str, *, less: tuple[str, str] | None = None) -> None:
    """Every group to every end; of one group and topic, a record less where there is one."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    for group, names in topics.read_by(TIERS_S).items():
        ends = kafka_reader.ends(kafka, names)
        asked = [
            TopicPartition(topic, partition, max(0, end - ((group, topic) == less)))
            for (topic, partition), end in ends.items()
        ]
        changed = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, asked)])
        changed[group].result(TIMEOUT_S)


@pytest.fixture
def kafka_with_tiers(kafka: str) -> str:
    create_topics(Settings(kafka=kafka, retry_tiers_s=TIERS_S))
    return kafka


async def test_an_account_of_the_pipelines_own_records_closes(
    kafka_with_tiers: str, database: str, tmp_path: Path
) -> None:
    kafka = kafka_with_tiers
    hand = ByHand(kafka, tmp_path)
    load = Load(LoadPolicy(prefix=unique("feed"), seed=1, people=2, channels=(Channel.SMS,), poison=0.5, urgent=0.5))
    shipment = load.new_shipment()
    load.follow(shipment)
    beginning = await asyncio.to_thread(ledgers.begin, kafka, TIERS_S)
    documents = [load.next_document() for _ in range(12)]
    hand.subscribe(shipment)
    for document in documents:
        hand.publish(document)
    await hand.work([], records=len(documents))
    hand.follow(shipment)
    events = sum(document.kind is Kind.EVENT for document in documents)
    # Four wait for another attempt; of those one is given up.
    await hand.work([NOT_NOW] * 4 + [ACCEPTED] * (2 * events - 4) + [NOT_NOW])
    hand.provider.close()
    await store(database, hand)
    (tmp_path / "feed.ndjson").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in hand.lines))
    sources = Sources(
        kafka=kafka,
        postgres=database,
        feeders=[tmp_path / "feed.ndjson"],
        providers={Channel.SMS: tmp_path / "sms.ndjson"},
        logs={},
        tiers_s=TIERS_S,
    )

    await asyncio.to_thread(commit, kafka)
    account = await asyncio.to_thread(ledgers.read_account, sources, beginning, rules=RULES)

    assert [len(some) for some in (account.arrivals, account.again)] == [len(documents), events]
    assert len(account.words) == len(account.rows) == 2 * events
    assert len(account.ledger) == len(account.ledger_rows) == len(documents)
    assert sum(one.channel is None for one in account.waiting) == events
    assert sum(one.channel is Channel.SMS for one in account.waiting) == 4
    assert len(account.entries[Channel.SMS]) == len(account.handed) == 2 * events + 4
    verdict = check(account)
    assert verdict.ok, verdict.violations
    assert verdict.statuses == {Status.SENT: 2 * events - 1, Status.TEMPORARY_FAILURE: 1}
    assert verdict.dead_letters == verdict.poisons + 1
    assert (verdict.events, verdict.poisons, verdict.notifications) == (events, len(documents) - events, 2 * events)

    await asyncio.to_thread(commit, kafka, less=(SINK, topics.OUTCOMES))
    behind = await asyncio.to_thread(ledgers.read_account, sources, beginning, rules=RULES)
    assert {one.breach for one in check(behind).violations} == {Breach.UNCOMMITTED}


async def store(dsn: str, hand: ByHand) -> None:
    postgres = PostgresOutcomes(dsn, timeout_s=TIMEOUT_S, pool_size=1)
    await postgres.start()
    try:
        await postgres.store_outcomes(hand.outcomes)
        await postgres.store_events(hand.events)
    finally:
        await postgres.stop()
