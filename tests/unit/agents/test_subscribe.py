"""Subscriptions: stored under their shipment, or set aside."""

import msgspec
import pytest

import topics
from agents.subscribe import Subscriber
from observability.metrics import Metrics
from pipeline import trail as trails
from streaming.producer import ProduceFailed
from tables.subscriptions import Subscriptions
from tests.fakes import T0_MS, Consumed, Journal, Out, Table, app, fetch


@pytest.fixture
def subscriptions() -> Subscriptions:
    subscriptions = Subscriptions(app())
    subscriptions.table = Table("subscriptions-changelog")  # type: ignore[assignment]
    return subscriptions


@pytest.fixture
def subscriber(out: Out, subscriptions: Subscriptions, metrics: Metrics) -> Subscriber:
    return Subscriber(out=out, subscriptions=subscriptions, partitions=1, metrics=metrics)


def published(offset: int, value: object, key: bytes | None = b"s-1", partition: int = 0) -> Consumed:
    raw = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
    return Consumed(topics.SUBSCRIPTIONS, partition, offset, key, raw)


def named(recipient: str) -> dict[str, object]:
    return {"shipment_id": "s-1", "recipients": [{"recipient_id": recipient, "addresses": {"sms": "+79990000001"}}]}


def recipients(subscriptions: Subscriptions, partition: int = 0) -> list[str] | None:
    found = subscriptions.get(partition, "s-1")
    return None if found is None else [one.recipient_id for one in found.recipients]


async def test_the_last_one_of_a_shipment_stands(subscriber: Subscriber, subscriptions: Subscriptions) -> None:
    await subscriber.process([fetch(published(0, named("anna")), published(1, named("boris")))])
    assert recipients(subscriptions) == ["boris"]
    assert recipients(subscriptions, partition=1) is None


async def test_null_takes_it_away(subscriber: Subscriber, subscriptions: Subscriptions) -> None:
    await subscriber.process([fetch(published(0, named("anna")), published(1, None))])
    assert recipients(subscriptions) is None


@pytest.mark.parametrize(
    ("value", "key", "names"),
    [
        pytest.param(b"{", b"s-1", "not JSON", id="broken"),
        pytest.param(named("anna"), b"s-2", "shipment_id", id="another shipment's key"),
        pytest.param(named("anna"), None, "key", id="no key"),
        pytest.param(None, None, "key", id="nothing of nobody"),
        pytest.param(b'{"x":"\xff"}', b"s-1", "UTF-8", id="not UTF-8"),
    ],
)
async def test_what_is_wrong_is_set_aside_and_the_rest_is_stored(
    subscriber: Subscriber, subscriptions: Subscriptions, out: Out, value: object, key: bytes | None, names: str
) -> None:
    await subscriber.process([fetch(published(0, value, key), published(1, named("anna")))])
    assert recipients(subscriptions) == ["anna"]
    (dead,) = out.on(topics.DLQ)
    trail = trails.read(dead.headers, T0_MS)  # type: ignore[arg-type]
    assert names in trail.error
    assert (dead.key, trail.origin_offset) == (key, 0)


async def test_a_refusal_that_is_not_durable_stores_nothing(
    subscriber: Subscriber, subscriptions: Subscriptions, out: Out, journal: Journal
) -> None:
    out.fails.add(topics.DLQ)
    with pytest.raises(ProduceFailed):
        await subscriber.process([fetch(published(0, b"{"), published(1, named("anna")))])
    assert journal == []


async def test_under_a_key_that_no_table_could_hold_nothing_is_taken_away(
    subscriber: Subscriber, out: Out, journal: Journal
) -> None:
    """No field says how long the key of a tombstone may be."""
    await subscriber.process([fetch(published(0, None, b"k" * 2_000_000))])
    (dead,) = out.on(topics.DLQ)
    assert "key: has more than" in dict(dead.headers or [])["herald-error"].decode()  # type: ignore[union-attr]
    assert [record.topic for record in out.records] == [topics.DLQ]


async def test_a_subscription_in_a_partition_that_nobody_asks_is_refused(
    out: Out, subscriptions: Subscriptions, metrics: Metrics
) -> None:
    """librdkafka's default partitioner puts keys elsewhere than Kafka's own: its events would never find it."""
    subscriber = Subscriber(out=out, subscriptions=subscriptions, partitions=4, metrics=metrics)
    key = next(f"s-{n}".encode() for n in range(100) if topics.partition_of(f"s-{n}".encode(), 4) != 0)
    await subscriber.process([fetch(Consumed(topics.SUBSCRIPTIONS, 0, 0, key, None))])
    (refused,) = out.on(topics.DLQ)
    assert "murmur2" in dict(refused.headers or [])["herald-error"].decode()  # type: ignore[union-attr]
