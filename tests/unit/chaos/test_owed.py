"""What does the pipeline owe an account of? What the broker took, whether its word arrived or not."""

import msgspec
import pytest

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from tests.chaos.checker import check
from tests.chaos.published import Told
from tests.chaos.verdict import Breach, Stage
from tests.unit.chaos.scene import Scene

NO_WORD = pytest.mark.parametrize("told", [Told.UNKNOWN, Told.FAILED])


def published(told: Told) -> Scene:
    """One event for two people, dealt with."""
    scene = Scene()
    scene.follow("s0", 2, (Channel.PUSH,))
    scene.publish("s0", told=told)
    for note in scene.notes:
        scene.deliver(note, fails=0, end=Status.SENT)
    return scene


def forget_everything(scene: Scene) -> None:
    event = scene.notes[0].event
    scene.forget(scene.ids_of(event))
    scene.forget_document(event)
    scene.arrivals.clear()


@NO_WORD
def test_an_event_that_arrived_without_a_word_is_owed_whole(told: Told) -> None:
    verdict = check(published(told).account())

    assert verdict.ok
    assert (verdict.events, verdict.unknown, verdict.unknown_arrived, verdict.notifications) == (1, 1, 1, 2)


@NO_WORD
def test_an_event_that_never_arrived_is_not_owed(told: Told) -> None:
    scene = published(told)
    forget_everything(scene)

    verdict = check(scene.account())

    assert verdict.ok
    assert (verdict.events, verdict.unknown, verdict.unknown_arrived, verdict.notifications) == (0, 1, 0, 0)


@NO_WORD
def test_an_event_that_somebody_was_told_of_is_owed_whole(told: Told) -> None:
    scene = published(told)
    _, second = scene.notes
    scene.forget({second.id})
    scene.arrivals.clear()

    (violation,) = check(scene.account()).violations

    assert (violation.breach, violation.stage, violation.id) == (Breach.LOST, Stage.LANE, second.id)


def test_poison_that_never_arrived_is_not_owed() -> None:
    scene = published(Told.OK)
    poison = scene.poison("s0")
    line = scene.lines[-1]
    scene.lines[-1] = msgspec.structs.replace(line, told=Told.UNKNOWN)
    scene.forget_document(poison)
    scene.arrivals = [one for one in scene.arrivals if one.id != poison]

    verdict = check(scene.account())

    assert verdict.ok
    assert verdict.poisons == 0


def test_a_repeated_word_that_agrees_is_counted() -> None:
    scene = published(Told.OK)
    word = scene.words[0]
    scene.words.append(word._replace(place=scene.place(word.place.topic)))

    verdict = check(scene.account())

    assert verdict.ok
    assert verdict.words_repeated == 1


def test_a_notification_that_is_on_one_of_two_ways_is_not_lost() -> None:
    """A crash repeated an attempt, and so left two waits: one has come back and gone nowhere, the other waits."""
    scene = published(Told.OK)
    note = scene.notes[0]
    scene.forget({note.id}, but=("handed",))
    assert [one.stage for one in check(scene.account()).violations] == [Stage.SEND]

    scene.now_ms += 1
    due_ms = scene.wait(note.id, note.channel, 1)
    scene.committed["herald-retry", scene.waiting[-1].place.topic] = scene.waiting[-1].place.offset
    scene.now_ms = due_ms - 1_500

    (violation,) = check(scene.account()).violations

    assert violation.breach is Breach.UNFINISHED
