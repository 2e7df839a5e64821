"""The feed is the same for the same seed, and the pipeline's decisions agree with the account it keeps of itself."""

from collections import Counter
from datetime import UTC, datetime

import pytest

import templates
from pipeline import documents, subscriptions
from pipeline.enrich import Case, EnrichPolicy, SeenRow, Settled, decide
from pipeline.errors import InvalidInput
from pipeline.ledger import Source
from pipeline.rendering import Renderer
from pipeline.subscriptions import Subscription
from simulators.broken import BREAKAGES
from simulators.feed import Feed, TopicKind, journeys

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = EnrichPolicy(expire_after_s=60, waits=0)


@pytest.fixture(scope="module")
def feed() -> Feed:
    return journeys(seed=7, shipments=120, start=START)


def test_a_seed_gives_one_feed() -> None:
    assert journeys(1, 20, START) == journeys(1, 20, START)
    assert journeys(1, 20, START).records != journeys(2, 20, START).records


def test_records_come_in_time_and_under_their_shipment(feed: Feed) -> None:
    times = [record.at_offset_s for record in feed.records]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 30
    for record in feed.records:
        if record.topic_kind is TopicKind.SUBSCRIPTIONS:
            subscription = subscriptions.decode(record.value)
            assert subscription is not None
            assert subscription.shipment_id.encode() == record.key
        else:
            for event in documents.decode(record.value, record.content_type):
                assert isinstance(event, InvalidInput) or event.shipment_id.encode() == record.key


def test_every_kind_of_trouble_is_among_it(feed: Feed) -> None:
    account = feed.expectation
    assert set(account.refused) == {*BREAKAGES, "one of several", "too large"}
    for count in (account.accepted, account.repeated, account.unsubscribed, account.silent, account.retracted):
        assert count > 0
    first_told = {record.key: record.at_offset_s for record in reversed(feed.records) if record.topic_kind == "status"}
    subscribed = {record.key: record.at_offset_s for record in feed.records if record.topic_kind == "subscriptions"}
    late = [key for key, at_s in subscribed.items() if at_s > first_told[key]]
    assert 0 < len(late) < len(subscribed) < len(first_told)


def test_the_pipeline_comes_to_the_same_account(feed: Feed) -> None:
    known: dict[str, Subscription] = {}
    for record in feed.records:  # all before any event: what waits for its subscription is another test's concern
        if record.topic_kind is TopicKind.SUBSCRIPTIONS and (subscription := subscriptions.decode(record.value)):
            known[subscription.shipment_id] = subscription
    renderer, seen, account, notifications = (
        Renderer(templates.load()),
        dict[str, SeenRow](),
        Counter[str](),
        set[str](),
    )
    for offset, record in enumerate(feed.records):
        if record.topic_kind is TopicKind.SUBSCRIPTIONS:
            continue
        for index, event in enumerate(documents.decode(record.value, record.content_type)):
            if isinstance(event, InvalidInput):
                account["refused"] += 1
                continue
            case = Case(
                event=event,
                source=Source(topic="cargo.status.v1", partition=0, offset=offset, index=index),
                seen=seen.get(event.identity),
                subscription=known.get(event.shipment_id),
                waited=0,
                caught_up=True,
                first_seen_at=NOW,
                now=NOW,
            )
            decision = decide(case, renderer, POLICY)
            assert isinstance(decision, Settled)
            assert not decision.failed
            account[decision.record.disposition] += 1
            notifications |= {one.id for one in decision.notifications}
            if decision.seen:
                seen[event.identity] = decision.seen
    expected = feed.expectation
    assert account == {
        "accepted": expected.accepted,
        "repeated": expected.repeated,
        "unsubscribed": expected.unsubscribed,
        "silent": expected.silent,
        "retracted": expected.retracted,
        "refused": expected.refused.total(),
    }
    assert len(notifications) == expected.notifications
    assert account.total() == expected.events
