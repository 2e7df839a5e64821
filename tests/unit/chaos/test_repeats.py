"""What a fault explains is counted, not complained about; what it does not explain is."""

from random import Random

import pytest

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.ledger import Result
from tests.chaos.checker import check
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.common import a_fault, a_kill, any_note
from tests.unit.chaos.scene import Note, Scene


@pytest.fixture
def scene() -> Scene:
    """Three notifications by email: two sent at once, one after a failure."""
    scene = Scene()
    scene.follow("s0", 1, (Channel.EMAIL,))
    for _ in range(3):
        scene.publish("s0")
    for note, fails in zip(scene.notes, (0, 0, 1), strict=True):
        scene.deliver(note, fails=fails, end=Status.SENT)
    return scene


def test_tellings_within_the_bound_are_counted(scene: Scene) -> None:
    scene.faults.append(a_fault(scene, in_flight=2))
    for note in scene.notes[:2]:
        scene.call(note, Result.ACCEPTED)

    verdict = check(scene.account())

    assert verdict.ok
    assert verdict.duplicates == verdict.told_twice[Channel.EMAIL] == verdict.bound[Channel.EMAIL] == 2
    assert verdict.told_twice[Channel.SMS] == 0


def test_one_message_counts_once_against_the_bound_however_often_it_comes(scene: Scene) -> None:
    scene.faults.append(a_fault(scene, in_flight=1))
    for _ in range(3):
        scene.call(scene.notes[0], Result.ACCEPTED)

    verdict = check(scene.account())

    assert verdict.ok
    assert verdict.duplicates == 3


def test_a_fault_of_another_channel_explains_nothing(scene: Scene) -> None:
    at_s = scene.now_ms / 1000
    scene.faults.append(a_kill(at_s, at_s + 9, in_flight=9, channel=Channel.SMS))
    scene.call(scene.notes[0], Result.ACCEPTED)

    (violation,) = check(scene.account()).violations

    assert violation.breach is Breach.DUPLICATE


def test_a_fault_that_is_over_explains_nothing(scene: Scene) -> None:
    scene.faults.append(a_fault(scene, in_flight=9))
    scene.now_ms += 61_000
    scene.call(scene.notes[0], Result.ACCEPTED)

    (violation,) = check(scene.account()).violations

    assert violation.breach is Breach.DUPLICATE


def test_faults_that_overlap_add_up(scene: Scene) -> None:
    scene.faults += [a_fault(scene, in_flight=1), a_fault(scene, in_flight=1)]
    for note in scene.notes:
        scene.call(note, Result.ACCEPTED)

    (violation,) = check(scene.account()).violations

    assert violation.breach is Breach.DUPLICATE
    assert "beyond what SIGKILL, SIGKILL explains" in violation.evidence


def test_repeats_that_the_provider_recognises_are_counted_beside(scene: Scene) -> None:
    scene.call(scene.notes[0], Result.REPEAT)

    verdict = check(scene.account())

    assert verdict.ok
    assert (verdict.duplicates, verdict.honoured[Channel.EMAIL]) == (0, 1)


def call_during_the_wait(scene: Scene) -> Note:
    note = any_note(scene, Random(0), waited=True)
    (wait,) = scene.waiting
    scene.call(note, Result.FAILED, at_ms=wait.due_ms - 1)
    return note


def test_an_attempt_during_a_wait_is_in_doubt_within_a_fault(scene: Scene) -> None:
    scene.faults.append(a_kill(0, 9e9, in_flight=1))
    call_during_the_wait(scene)

    verdict = check(scene.account())

    assert verdict.ok
    assert (verdict.early, verdict.early_in_doubt) == (0, 1)


def test_an_attempt_during_a_wait_is_early_without_one(scene: Scene) -> None:
    note = call_during_the_wait(scene)

    verdict = check(scene.account())

    assert [one.id for one in verdict.violations] == [note.id]
    assert (verdict.early, verdict.early_in_doubt) == (1, 0)


@pytest.mark.parametrize("before_due_ms", [0, 1_000], ids=["when due", "in the millisecond of the wait"])
def test_an_attempt_at_either_end_of_a_wait_is_not_early(scene: Scene, before_due_ms: int) -> None:
    note = any_note(scene, Random(0), waited=True)
    (wait,) = scene.waiting
    scene.call(note, Result.FAILED, at_ms=wait.due_ms - before_due_ms)

    assert check(scene.account()).ok
