"""What operators do with dead letters, on the running pipeline: a replay that is broken off tells nobody twice."""

import os
import signal
import subprocess
import sys

import msgspec
import pytest

import topics
from pipeline.events import Location
from pipeline.notifications import Channel, Lane, replay_id
from pipeline.outcomes import Status
from pipeline.vocabulary import StatusCode
from simulators.faults import CallFault, Faults
from simulators.ledger import Result
from tests.e2e.cargo import Shipment, followed_by, unique
from tests.e2e.world import ROOT, SUBSCRIPTION_ROWS, World, eventually

# Runs a replay up to its first mark, says so, and stands still until it is killed.
BROKEN_OFF = """
import time
from cli import dlq_replay
from cli.main import main


def marker(replay, by):
    print("told", flush=True)
    time.sleep(600)

dlq_replay.Replay.marker = marker
main()
"""


def killed_before_its_mark(world: World, *arguments: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BROKEN_OFF, "dlq", "replay", "--yes", *arguments],
        cwd=ROOT,
        env={**os.environ, **world.pipeline.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout as said:
        try:
            assert any("told" in line for line in said), "the replay ended before its mark"
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL])
def test_a_replay_killed_before_its_mark_and_run_again_tells_once(world: World, channel: Channel) -> None:
    """Email has no idempotency at the provider: it is our own memory that knows the repeat."""
    world.simulator(channel).set_faults(Faults(call=CallFault.ERROR))
    before = world.mark(topics.DLQ)
    shipment = followed_by(channel)
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    (id,) = shipment.ids(event)
    world.outcomes_of([id])
    (letter,) = world.dead_letters(before)[shipment.people[0].id.encode()]
    world.simulator(channel).set_faults()

    killed_before_its_mark(world, letter.id)
    again = replay_id(id, 1)
    told = world.outcomes_of([again])[again]
    assert (told["status"], str(told["replay_of"])) == (Status.SENT, id)
    lines = world.query("SELECT * FROM event_ledger WHERE $1 = ANY (notification_ids)", again)
    assert len(lines) == 1

    lanes = [topics.lane(channel, one) for one in Lane]
    read = {name: sum(world.mark(name).values()) for name in lanes}
    repeated = world.herald("dlq", "replay", letter.id, "--yes")
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert "1 replayed, 0 failed" in repeated.stdout
    assert sum(sum(world.mark(name).values()) for name in lanes) == sum(read.values()) + 1
    # What is told behind the repeat, on its lane and to the same person, shows that the repeat has been dealt with.
    later = shipment.event()
    world.tell(later)
    world.outcomes_of(list(shipment.ids(later)))
    accepted = [one for one in world.heard(channel, {again}) if one.result is Result.ACCEPTED]
    assert len(accepted) == 1
    assert len(world.query("SELECT * FROM event_ledger WHERE $1 = ANY (notification_ids)", again)) == 1
    third = world.herald("dlq", "replay", letter.id, "--yes")
    assert "replayed already" in third.stdout


def in_locale(shipment: Shipment, locale: str) -> bytes:
    subscription = msgspec.json.decode(shipment.subscription())
    for recipient in subscription["recipients"]:
        recipient["locale"] = locale
    return msgspec.json.encode(subscription)


def test_a_text_that_could_not_be_made_is_told_by_a_replay_to_whom_it_was_not_told(world: World) -> None:
    """In Cyrillic the SMS would have more parts than go out; its reader is content with English after all."""
    shipment = Shipment(channels=(Channel.SMS, Channel.EMAIL), id=unique("shipment").ljust(250, "x"))
    event = msgspec.structs.replace(
        shipment.event(StatusCode.DISC),
        location=Location(name="P" * 100),
        vessel="V" * 100,
        equipment="E" * 100,
        reason="R" * 80,
    )
    ids = {channel: id for id, channel in shipment.ids(event).items()}
    before = world.mark(topics.DLQ)
    world.subscribe(shipment)
    rows = world.mark(SUBSCRIPTION_ROWS)
    world.publish(topics.SUBSCRIPTIONS, shipment.key, in_locale(shipment, "ru"))
    world.flush()
    eventually(lambda: world.records(SUBSCRIPTION_ROWS, rows), "a row for the Russian subscription")
    world.tell(event)
    ended = world.outcomes_of(ids.values())
    assert {channel: ended[id]["status"] for channel, id in ids.items()} == {
        Channel.SMS: Status.TECHNICAL_FAILURE,
        Channel.EMAIL: Status.SENT,
    }
    (letter,) = world.dead_letters(before)[shipment.key]
    assert letter.reason == "template"

    first = replay_id(ids[Channel.SMS], f"{letter.id}/1")
    assert "1 replayed" in world.herald("dlq", "replay", letter.id, "--yes").stdout
    assert world.outcomes_of([first])[first]["status"] == Status.TECHNICAL_FAILURE, "nothing was put right yet"
    (again,) = (one for one in world.dead_letters(before)[shipment.key] if one.value and one.id != letter.id)

    world.subscribe(shipment)
    assert "1 replayed" in world.herald("dlq", "replay", again.id, "--yes").stdout
    second = replay_id(ids[Channel.SMS], f"{again.id}/1")
    told = world.outcomes_of([second])[second]
    assert (told["status"], str(told["replay_of"])) == (Status.SENT, ids[Channel.SMS])
    assert len(world.accepted(Channel.SMS, {second})) == 1
    assert len(world.accepted(Channel.EMAIL, set(ids.values()))) == 1
    assert len(world.outcomes([shipment])) == 4

    world.herald("dlq", "replay", letter.id, "--again", "--yes")
    assert world.dispositions(shipment, 4) == ["accepted"] * 3 + ["repeated"]
    assert len(world.outcomes([shipment])) == 4
