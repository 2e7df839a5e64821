"""What a run came to, counted by Postgres from rows as the sink writes them."""

import asyncio
import uuid
from collections import Counter
from datetime import timedelta
from functools import partial

import asyncpg

import topics
from cli.account import Account, take_account
from pipeline.ledger import Disposition, Source
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from storage.postgres import PostgresOutcomes
from tests.integration.storage.conftest import NOON, Make

# Records of today say when their event was first seen; without, they are rows of before the range that is counted.
outcome = partial(Make.outcome, first_seen_at=NOON)
event = partial(Make.event, first_seen_at=NOON)


async def account_since(database: str, since_s: float = 0.0) -> Account:
    async with asyncio.timeout(10):
        connection = await asyncpg.connect(database)
        try:
            return await take_account(connection, NOON + timedelta(seconds=since_s))
        finally:
            await connection.close()


async def test_a_run_is_counted_by_what_became_of_it(database: str, outcomes: PostgresOutcomes) -> None:
    sent, failed, waiting = (str(uuid.uuid4()) for _ in range(3))
    refused = {"disposition": Disposition.REFUSED, "event_id": None, "shipment_id": None, "status": None}
    await outcomes.store_events(
        [
            event(1, [sent, failed]),
            event(2, [waiting]),
            event(3, [], disposition=Disposition.UNSUBSCRIBED),
            event(4, [], reason="status: missing", **refused),
            event(5, [], reason="status: missing", **refused),
            event(6, [], reason="no JSON", **refused),
        ]
    )
    await outcomes.store_outcomes(
        [
            outcome(notification_id=sent),
            outcome(notification_id=failed, channel=Channel.EMAIL, status=Status.TECHNICAL_FAILURE),
        ]
    )
    account = await account_since(database)
    assert account.dispositions == Counter(
        {Disposition.ACCEPTED: 2, Disposition.UNSUBSCRIBED: 1, Disposition.REFUSED: 3}
    )
    assert list(account.refusals.items()) == [("status: missing", 2), ("no JSON", 1)]
    assert account.notifications == 3
    assert account.outcomes == Counter({(Channel.SMS, Status.SENT): 1, (Channel.EMAIL, Status.TECHNICAL_FAILURE): 1})
    assert account.unaccounted == 1


async def test_a_replayed_dead_letter_is_no_event_that_came_in(database: str, outcomes: PostgresOutcomes) -> None:
    one = str(uuid.uuid4())
    replayed = Source(topic=topics.DLQ, partition=0, offset=9)
    # A correction of the same event names the notification once more.
    await outcomes.store_events([event(1, [one]), event(2, [one], source=replayed)])
    account = await account_since(database)
    assert (account.events, account.notifications, account.unaccounted) == (1, 1, 1)


async def test_a_notification_has_ended_whenever_its_outcome_was_first_seen(
    database: str, outcomes: PostgresOutcomes
) -> None:
    undated, earlier = (str(uuid.uuid4()) for _ in range(2))
    await outcomes.store_events([event(1, [undated]), event(2, [earlier])])
    assert (await account_since(database)).unaccounted == 2
    await outcomes.store_outcomes(
        [
            Make.outcome(notification_id=undated),
            outcome(notification_id=earlier, first_seen_at=NOON - timedelta(days=14)),
        ]
    )
    assert (await account_since(database)).unaccounted == 0


async def test_what_was_there_before_a_run_is_not_of_it(database: str, outcomes: PostgresOutcomes) -> None:
    before = str(uuid.uuid4())
    await outcomes.store_events([event(1, [before])])
    await outcomes.store_outcomes([outcome(notification_id=before)])
    account = await account_since(database, since_s=3600)
    assert (account.events, account.notifications, account.ended, account.unaccounted) == (0, 0, 0, 0)
