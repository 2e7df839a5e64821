"""What operators do with dead letters, on the running pipeline: a replay that is broken off tells nobody twice."""

import os
import signal
import subprocess
import sys

import pytest

import topics
from pipeline.notifications import Channel, Lane, replay_id
from pipeline.outcomes import Status
from simulators.faults import CallFault, Faults
from simulators.ledger import Result
from tests.e2e.cargo import followed_by
from tests.e2e.world import ROOT, World

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
