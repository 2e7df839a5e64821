"""A provider that does not take what it is given: attempts at their tiers, none early, and an end to it."""

import json
from typing import Any

import pytest

import topics
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.faults import CallFault, Faults, Refusal
from simulators.ledger import Result
from tests.e2e.cargo import Shipment, followed_by
from tests.e2e.world import TIERS_S, World, eventually, gaps

# A record that is due is returned within the retry role's turn; what comes on top is a busy machine.
LATE_S = 5.0
ATTEMPTS = len(TIERS_S) + 1


def published(world: World, shipment: Shipment) -> str:
    """The id of the one notification of a new event."""
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    (id,) = shipment.ids(event)
    return id


@pytest.mark.parametrize("channel", Channel)
def test_what_fails_three_times_is_tried_at_its_tiers(world: World, channel: Channel) -> None:
    world.simulator(channel).set_faults(Faults(fail_first=3))
    id = published(world, followed_by(channel))
    waits = _watched_waits(world, id)

    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.SENT, ATTEMPTS)
    heard = world.heard(channel, {id})
    assert [entry.result for entry in heard] == [Result.FAILED] * 3 + [Result.ACCEPTED]
    for waited_s, tier_s in zip(gaps(heard), TIERS_S, strict=True):
        assert tier_s <= waited_s < tier_s + LATE_S
    assert waits, "the API never showed the waiting"
    for wait in waits:
        assert wait["attempts"] in (1, 2, 3)
        assert wait["reason"]
        assert wait["next_attempt_at"]


def _watched_waits(world: World, id: str) -> list[dict[str, Any]]:
    """Every state of waiting that the API shows until the end."""
    waits: dict[int, dict[str, Any]] = {}

    def ended() -> bool:
        status = world.status_of(id)
        if status.get("status") == Status.SENDING:
            waits[status["attempts"]] = dict(status)
        return bool(status.get("final"))

    eventually(ended, "an end")
    return list(waits.values())


def test_what_always_fails_is_a_dead_letter_that_a_replay_delivers_once(world: World) -> None:
    world.simulator(Channel.SMS).set_faults(Faults(call=CallFault.ERROR))
    before = world.mark(topics.DLQ)
    shipment = followed_by(Channel.SMS)
    id = published(world, shipment)
    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.TEMPORARY_FAILURE, ATTEMPTS)
    assert len(world.heard(Channel.SMS, {id})) == ATTEMPTS
    key = shipment.people[0].id.encode()
    (letter,) = world.dead_letters(before)[key]
    assert letter.reason == "retries-exhausted"
    assert letter.headers["herald-attempts"] == str(ATTEMPTS)
    listed = world.herald("dlq", "list", "--reason", "retries-exhausted", "--channel", "sms", "--json")
    assert listed.returncode == 0, listed.stderr
    assert letter.id in [json.loads(line)["id"] for line in listed.stdout.splitlines()]
    assert shipment.people[0].sms not in listed.stdout

    world.simulator(Channel.SMS).set_faults()
    for turn in ("first", "second"):
        replayed = world.herald("dlq", "replay", letter.id, "--yes")
        assert replayed.returncode == 0, f"{turn}: {replayed.stdout}{replayed.stderr}"
    sent = eventually(
        lambda: [row for row in world.outcomes([shipment]).values() if row["status"] == Status.SENT],
        "the replayed notification to be sent",
    )
    assert [str(one["notification_id"]) for one in sent] != [id], "a final status never changes"
    told = [entry for entry in world.heard(Channel.SMS) if entry.to == shipment.people[0].sms]
    assert [entry.result for entry in told[ATTEMPTS:]] == [Result.ACCEPTED]
    assert len(world.outcomes([shipment])) == 2


def test_throttling_is_obeyed_and_spends_no_attempt(world: World) -> None:
    asked_s = 3.0
    world.simulator(Channel.SMS).set_faults(Faults(call=CallFault.THROTTLE, limit=1, retry_after_s=asked_s))
    id = published(world, followed_by(Channel.SMS))
    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.SENT, 1)
    heard = world.heard(Channel.SMS, {id})
    assert [entry.result for entry in heard] == [Result.THROTTLED, Result.ACCEPTED]
    (waited_s,) = gaps(heard)
    assert asked_s <= waited_s < asked_s + LATE_S


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(world: World) -> None:
    world.simulator(Channel.SMS).set_faults(Faults(call=CallFault.ACCEPT_THEN_TIMEOUT, limit=1))
    id = published(world, followed_by(Channel.SMS))
    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.SENT, 2)
    assert [entry.result for entry in world.heard(Channel.SMS, {id})] == [Result.ACCEPTED, Result.REPEAT]


def test_email_in_doubt_is_rather_told_twice_than_not(world: World) -> None:
    """The default policy for email, which has no keys that a server would honour."""
    world.simulator(Channel.EMAIL).set_faults(Faults(call=CallFault.ACCEPT_THEN_RESET, limit=1))
    id = published(world, followed_by(Channel.EMAIL))
    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.SENT, 2)
    assert [entry.result for entry in world.heard(Channel.EMAIL, {id})] == [Result.ACCEPTED] * 2


@pytest.mark.parametrize(
    ("channel", "code"), [(Channel.SMS, "invalid-number"), (Channel.EMAIL, "550"), (Channel.PUSH, "UNREGISTERED")]
)
def test_a_refusal_is_final_and_no_dead_letter(world: World, channel: Channel, code: str) -> None:
    shipment = followed_by(channel)
    (recipient,) = shipment.people
    world.simulator(channel).set_faults(Faults(refuse=(Refusal(pattern=recipient.address(channel)),)))
    before = world.mark(topics.DLQ)
    id = published(world, shipment)
    row = world.outcomes_of([id])[id]
    assert (row["status"], row["attempts"]) == (Status.PERMANENT_FAILURE, 1)
    assert code in row["reason"]
    assert recipient.address(channel) not in row["reason"]
    assert recipient.id.encode() not in world.dead_letters(before)
