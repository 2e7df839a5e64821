"""When is a channel's circuit open, and what may happen then?"""

import math

import msgspec
import pytest

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.ledger import Result
from tests.chaos.account import CircuitWord, Fault
from tests.chaos.checker import check
from tests.chaos.checks.circuits import open_spans
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.repeats import open_for
from tests.unit.chaos.scene import RULES, Scene


def opened(at_s: float) -> CircuitWord:
    return CircuitWord(at_s, "simulated", True)


def closed(at_s: float) -> CircuitWord:
    return CircuitWord(at_s, "simulated", False)


def fault(at_s: float, until_s: float, *, ends_workers: bool = True) -> Fault:
    return Fault(name="f", at_s=at_s, until_s=until_s, channel=None, in_flight=0, ends_workers=ends_workers)


@pytest.mark.parametrize(
    ("workers", "faults", "spans"),
    [
        ([], [], []),
        ([[]], [], []),
        ([[opened(1), closed(5)]], [], [(1, 5)]),
        ([[opened(1)]], [], [(1, math.inf)]),
        # A probe failed: it opens again, and was open all the time.
        ([[opened(1), opened(3), closed(5)]], [], [(1, 5)]),
        ([[opened(1), closed(2), opened(4), closed(6)]], [], [(1, 2), (4, 6)]),
        # The one calls while the other waits.
        ([[opened(1), closed(5)], [opened(3), closed(8)]], [], [(3, 5)]),
        ([[opened(1), closed(5)], []], [], []),
        # Killed: the next worker knows of nothing, until it finds out for itself.
        ([[opened(1)]], [fault(3, 4)], [(1, 3)]),
        ([[opened(1), opened(5), closed(6)]], [fault(3, 4)], [(1, 3), (5, 6)]),
        ([[opened(1), closed(5)]], [fault(3, 4, ends_workers=False)], [(1, 5)]),
    ],
)
def test_a_circuit_is_open_while_every_workers_is(
    workers: list[list[CircuitWord]], faults: list[Fault], spans: list[tuple[float, float]]
) -> None:
    assert open_spans(workers, faults) == spans


@pytest.fixture
def scene() -> Scene:
    """One SMS that failed once."""
    scene = Scene()
    scene.follow("s0", 1, (Channel.SMS,))
    scene.publish("s0")
    scene.deliver(scene.notes[0], fails=1, end=Status.SENT)
    return scene


def test_waiting_without_spending_an_attempt_is_allowed(scene: Scene) -> None:
    (wait,) = scene.waiting
    scene.waiting[0] = wait._replace(attempts=0)
    scene.handed[1] = scene.handed[1]._replace(attempts=0)
    open_for(scene, Channel.SMS, wait.place.at_ms - 1, wait.place.at_ms + 1)

    assert check(scene.account()).ok


def test_a_silent_probe_may_spend_an_attempt(scene: Scene) -> None:
    (wait,) = scene.waiting
    scene.waiting[0] = wait._replace(in_doubt=True)
    open_for(scene, Channel.SMS, wait.place.at_ms - 1, wait.place.at_ms + 1)

    assert check(scene.account()).ok


def test_silence_does_not_excuse_more_than_the_probes(scene: Scene) -> None:
    (wait,) = scene.waiting
    scene.publish("s0")
    other = scene.notes[1]
    scene.deliver(other, fails=1, end=Status.SENT)
    scene.waiting = [one._replace(in_doubt=True) for one in scene.waiting]
    scene.waiting[1] = scene.waiting[1]._replace(place=scene.waiting[1].place._replace(at_ms=wait.place.at_ms))
    scene.handed = [one._replace(place=one.place._replace(at_ms=0)) for one in scene.handed if one.due_ms == 0]
    open_for(scene, Channel.SMS, wait.place.at_ms - 1, wait.place.at_ms + 1)

    found = [one for one in check(scene.account()).violations if one.breach is Breach.SPENT_ATTEMPT]

    assert len(found) == 1


def test_what_was_begun_before_has_a_grace(scene: Scene) -> None:
    (wait,) = scene.waiting
    opened_s = wait.place.at_ms / 1000 - RULES.circuit_grace_s / 2
    scene.circuits[Channel.SMS] = [[opened(opened_s), closed(opened_s + RULES.circuit_grace_s)]]

    assert check(scene.account()).ok


def test_another_channels_circuit_is_not_ours(scene: Scene) -> None:
    (wait,) = scene.waiting
    open_for(scene, Channel.PUSH, wait.place.at_ms - 1, wait.place.at_ms + 1)

    assert check(scene.account()).ok


def test_unconfirmed_is_no_failure(scene: Scene) -> None:
    word = scene.words[0]
    scene.words[0] = word._replace(outcome=msgspec.structs.replace(word.outcome, status=Status.UNCONFIRMED))
    scene.rows[0] = scene.rows[0]._replace(status=Status.UNCONFIRMED)
    open_for(scene, Channel.SMS, word.place.at_ms - 1, word.place.at_ms + 1)

    assert check(scene.account()).ok


def test_a_probe_for_each_wait_is_allowed(scene: Scene) -> None:
    begin_ms = scene.now_ms + 1
    for _ in range(4):
        scene.call(scene.notes[0], Result.THROTTLED)
    # Three waits fit in, and the first probe comes after none.
    scene.circuits[Channel.SMS] = [
        [
            opened(begin_ms / 1000 - RULES.circuit_grace_s),
            closed(begin_ms / 1000 + 3.5 * RULES.probe_every_s),
        ]
    ]
    scene.now_ms = begin_ms + 10_000

    assert check(scene.account()).ok
    scene.call(scene.notes[0], Result.THROTTLED, at_ms=begin_ms + 1)
    assert [one.breach for one in check(scene.account()).violations] == [Breach.TOO_MANY_PROBES]
