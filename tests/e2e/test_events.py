"""What becomes of an event: told, told late, told once, corrected, taken back, or told to nobody."""

import os
from dataclasses import replace

import msgspec
import pytest
from confluent_kafka import Producer

import topics
from pipeline.documents import ContentType
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from pipeline.subscriptions import MAX_RECIPIENTS
from pipeline.vocabulary import StatusCode
from settings import Role, Settings
from tests.e2e.cargo import Shipment, encode, followed_by, person, unique
from tests.e2e.world import GRACE_S, SUBSCRIPTION_ROWS, TIMEOUT_S, World, eventually

LATE_S = 15.0
# More than enrich makes durable at once.
MAILINGS = 8

Json = dict[str, object]


def document(*events: Json) -> bytes:
    return msgspec.json.encode({"events": events})


def v3(shipment: Shipment, id: str, *, updated: str, retracted: bool = False) -> Json:
    """An event of DCSA Track & Trace 3.0, which has revisions and retractions."""
    return {
        "eventID": id,
        "eventDateTime": "2026-11-05T01:18:00Z",
        "eventUpdatedDateTime": updated,
        "isRetracted": retracted,
        "eventRouting": {"originatingParty": {"partyCode": "EXLI", "codeListProvider": "SMDG", "partyFunction": "CA"}},
        "eventClassification": {
            "eventTypeCode": "EQUIPMENT",
            "eventClassifierCode": "ACT",
            "equipmentEventTypeCode": "LOAD",
        },
        "equipmentDetails": {"equipmentReference": "EXLU1730838", "ISOEquipmentCode": "22GP"},
        "shipmentDetails": {"documentReference": {"typeCode": "BKG", "reference": shipment.id}},
    }


def publish(world: World, key: bytes, *events: Json) -> None:
    world.publish(topics.STATUS, key, document(*events), [("content-type", ContentType.DCSA_V3.encode())])
    world.flush()


def told(world: World, *shipments: Shipment) -> int:
    """How many messages the SMS provider took for those who follow the shipments."""
    numbers = {one.sms for shipment in shipments for one in shipment.people}
    return sum(entry.to in numbers for entry in world.heard(Channel.SMS))


def test_a_subscription_that_comes_after_its_event_still_works(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    event = shipment.event()
    waiting = world.mark(topics.retry(1.0))
    world.tell(event)
    eventually(lambda: world.records(topics.retry(1.0), waiting), "the event to wait")
    world.subscribe(shipment)
    rows = world.outcomes_of(shipment.ids(event))
    assert {row["status"] for row in rows.values()} == {Status.SENT}
    assert world.dispositions(shipment, 1) == ["accepted"]


def test_an_event_that_nobody_follows_is_counted_after_its_grace(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.tell(shipment.event())
    assert world.dispositions(shipment, 1, within_s=GRACE_S + LATE_S) == ["unsubscribed"]


def test_events_go_by_the_subscriptions_that_were_published_before_them(world: World) -> None:
    """The worker was away and finds both: who has left must not be told, and who has come not be left out."""
    left, came = person(), person()
    before = [Shipment(people=(left,), channels=(Channel.SMS,)) for _ in range(100)]
    world.subscribe(*before)
    after = [replace(one, people=(came,)) for one in before]
    with world.frozen(Role.ENRICH):
        for one in after:
            world.publish(topics.SUBSCRIPTIONS, one.key, one.subscription())
        world.flush()
        events = [one.event() for one in after]
        world.tell(*events)
    ids = {id for one, event in zip(after, events, strict=True) for id in one.ids(event)}
    assert all(world.dispositions(one, 1) == ["accepted"] for one in after)
    assert {row["recipient"] for row in world.outcomes_of(ids).values()} == {came.id}
    assert world.outcomes(before).keys() == ids


def test_a_subscription_taken_away_ends_the_telling(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    first = shipment.event()
    world.tell(first)
    world.outcomes_of(shipment.ids(first))
    taken = world.mark(SUBSCRIPTION_ROWS)
    world.publish(topics.SUBSCRIPTIONS, shipment.key, None)
    world.flush()
    eventually(lambda: world.records(SUBSCRIPTION_ROWS, taken), "the row to be deleted")
    world.tell(shipment.event())
    assert world.dispositions(shipment, 2, within_s=GRACE_S + LATE_S) == ["accepted", "unsubscribed"]
    assert told(world, shipment) == 1


def test_a_repeat_is_told_once(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    for _ in range(3):
        world.tell(event)
    assert world.dispositions(shipment, 3) == ["accepted", "repeated", "repeated"]
    world.outcomes_of(shipment.ids(event))
    assert told(world, shipment) == 1


def test_a_correction_is_told_and_an_earlier_revision_is_not(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    id = unique("event")
    for hour in (2, 3, 1, 3):
        publish(world, shipment.key, v3(shipment, id, updated=f"2026-11-05T0{hour}:00:00Z"))
    assert world.dispositions(shipment, 4) == ["accepted", "accepted", "repeated", "repeated"]
    eventually(lambda: len(world.outcomes([shipment])) == 2, "both revisions to end")
    assert told(world, shipment) == 2


def test_what_never_happened_is_told_to_nobody(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    publish(world, shipment.key, v3(shipment, unique("event"), updated="2026-11-05T02:00:00Z", retracted=True))
    assert world.dispositions(shipment, 1) == ["retracted"]
    assert told(world, shipment) == 0


def test_a_document_about_many_shipments_reaches_the_followers_of_each(world: World) -> None:
    """It comes under one key; every event must find the subscription of its own shipment."""
    shipments = [followed_by(Channel.SMS) for _ in range(12)]
    world.subscribe(*shipments)
    events = [v3(one, unique("event"), updated="2026-11-05T02:00:00Z") for one in shipments]
    publish(world, shipments[0].key, *events)
    for shipment in shipments:
        assert world.dispositions(shipment, 1) == ["accepted"]
    eventually(lambda: len(world.outcomes(shipments)) == len(shipments), "an outcome for each")
    assert told(world, *shipments) == len(shipments)
    publish(world, shipments[1].key, *events)
    for shipment in shipments:
        assert world.dispositions(shipment, 2) == ["accepted", "repeated"]


def test_a_record_larger_than_a_fetch_is_set_aside_and_what_is_behind_it_is_told(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    before = world.mark(topics.DLQ)
    large = os.urandom(12 << 20)
    world.publish(topics.STATUS, shipment.key, large)
    event = shipment.event()
    world.tell(event)
    rows = world.outcomes_of(shipment.ids(event))
    assert {row["status"] for row in rows.values()} == {Status.SENT}
    (letter,) = world.dead_letters(before)[shipment.key]
    whole = letter.value == large  # which pytest need not spell out
    assert whole
    assert "at most" in letter.headers["herald-error"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_events_are_told_however_their_publisher_compresses_them(world: World, codec: str) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    # One alone is not made smaller, and then sent as it is.
    events = [shipment.event() for _ in range(10)]
    publisher = Producer(
        {
            "bootstrap.servers": world.pipeline.endpoints.kafka,
            "partitioner": "murmur2_random",
            "compression.type": codec,
            "linger.ms": 100,
        }
    )
    for event in events:
        publisher.produce(topics.STATUS, encode(event), shipment.key)
    assert publisher.flush(TIMEOUT_S) == 0
    rows = world.outcomes_of({id: channel for event in events for id, channel in shipment.ids(event).items()})
    assert {row["status"] for row in rows.values()} == {Status.SENT}


def test_an_urgent_event_overtakes_a_mailing_that_was_published_before_it(world: World) -> None:
    """In the very partition of the mailing, behind all of it, while enrich was away."""
    mailing = Shipment(people=tuple(person() for _ in range(MAX_RECIPIENTS)), channels=(Channel.SMS,))
    urgent = followed_by(Channel.SMS)
    while partition_of(urgent) != partition_of(mailing):
        urgent = followed_by(Channel.SMS)
    world.subscribe(mailing, urgent)
    events = [mailing.event() for _ in range(MAILINGS)]
    with world.frozen(Role.ENRICH):
        world.tell(*events, urgent.event(StatusCode.HOLD))
    world.outcomes_of({id for event in events for id in mailing.ids(event)})
    world.dispositions(mailing, MAILINGS)
    world.dispositions(urgent, 1)
    made = {
        row["shipment_id"]: row["at"]
        for row in world.query(
            "SELECT shipment_id, max(recorded_at) AS at FROM event_ledger WHERE shipment_id = ANY ($1) GROUP BY 1",
            [mailing.id, urgent.id],
        )
    }
    assert made[urgent.id] < made[mailing.id]


def partition_of(shipment: Shipment) -> int:
    return topics.partition_of(shipment.key, Settings().partitions)
