"""Where does a notification stand? Asked over HTTP while it is on its way."""

from collections.abc import Mapping
from typing import Any

import pytest
import redis

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from pipeline.vocabulary import StatusCode
from simulators.faults import Faults
from tests.e2e.cargo import Shipment, followed_by, person
from tests.e2e.world import World, eventually

# The first test of all pays for the start of the pipeline.
pytestmark = pytest.mark.timeout(240)

STEPS = (StatusCode.GTIN, StatusCode.LOAD, StatusCode.DISC, StatusCode.GTOT, StatusCode.STUF, StatusCode.STRP)


def of_shipment(world: World, shipment: Shipment) -> list[Mapping[str, Any]]:
    answer = world.get(f"/v1/notifications?shipment_id={shipment.id}")
    assert answer.status == 200, answer
    found: list[Mapping[str, Any]] = answer.body["notifications"]
    return found


def test_the_states_of_a_notification_are_shown_as_they_come(world: World) -> None:
    """The provider takes its time, so `created` lasts; it fails once, so `sending` does."""
    world.simulator(Channel.SMS).set_faults(Faults(latency_ms=1_500, fail_first=1))
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    (id,) = shipment.ids(event)
    seen: list[Mapping[str, Any]] = []

    def ended() -> bool:
        status = world.status_of(id)
        if status and (not seen or status["status"] != seen[-1]["status"]):
            seen.append(status)
        return bool(status.get("final"))

    eventually(ended, "an end")
    assert [one["status"] for one in seen] == [Status.CREATED, Status.SENDING, Status.SENT]
    assert [one["attempts"] for one in seen] == [0, 1, 2]
    assert [bool(one["next_attempt_at"]) for one in seen] == [False, True, False]
    eventually(lambda: [one["status"] for one in of_shipment(world, shipment)] == [Status.SENT], "the list to agree")
    assert shipment.people[0].sms not in str(seen)


@pytest.mark.parametrize("path", ["/v1/notifications/6f0a3c5e-2f0b-5d38-9a57-3f1d6f3c8a10", "/v1/notifications"])
@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_its_key_nothing_is_said(world: World, path: str, key: str) -> None:
    answer = world.get(path, key=key)
    assert answer.status == 401
    assert answer.body["status"] == 401


def test_a_flushed_cache_costs_no_answer(world: World) -> None:
    world.simulator(Channel.SMS).set_faults(Faults(fail_first=2))
    shipment = Shipment()
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    by_channel = {channel: id for id, channel in shipment.ids(event).items()}
    eventually(lambda: world.status_of(by_channel[Channel.SMS]).get("status") == Status.SENDING, "a wait")
    world.outcomes_of([by_channel[Channel.EMAIL], by_channel[Channel.PUSH]])
    with redis.Redis.from_url(world.pipeline.endpoints.redis, socket_timeout=10) as client:
        client.flushdb()
    shown = {one["id"]: one["status"] for one in of_shipment(world, shipment)}
    assert shown.keys() == set(by_channel.values())
    assert shown[by_channel[Channel.EMAIL]] == shown[by_channel[Channel.PUSH]] == Status.SENT
    assert world.status_of(by_channel[Channel.SMS])["status"] in (Status.CREATED, Status.SENDING, Status.SENT)
    eventually(lambda: world.status_of(by_channel[Channel.SMS]).get("status") == Status.SENT, "an end")


@pytest.mark.parametrize("channel", Channel)
def test_each_person_is_told_in_the_order_of_events(world: World, channel: Channel) -> None:
    world.simulator(channel).set_faults(Faults(latency_ms=20))
    shipments = [Shipment(people=(person(), person()), channels=(channel,)) for _ in range(8)]
    world.subscribe(*shipments)
    events = {shipment.id: [shipment.event(step) for step in STEPS] for shipment in shipments}
    for turn in range(len(STEPS)):
        world.tell(*(events[shipment.id][turn] for shipment in shipments))
    ids = {id for shipment in shipments for event in events[shipment.id] for id in shipment.ids(event)}
    world.outcomes_of(ids)
    heard = world.accepted(channel, ids)
    for shipment in shipments:
        wanted = [shipment.ids(event) for event in events[shipment.id]]
        for recipient in shipment.people:
            told = [entry.id for entry in heard if entry.to == recipient.address(channel)]
            assert all(id in step for id, step in zip(told, wanted, strict=True)), f"{channel}: out of order"
