"""What is told again, too early, on an open circuit, or not committed?"""

from random import Random

import topics
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.ledger import Result
from tests.chaos.account import RETRY, SINK, CircuitWord
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.common import Found, Plant, a_fault, a_kill, any_note, just
from tests.unit.chaos.scene import RULES, TIERS_S, Scene


def told_again(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice)
    scene.call(note, Result.ACCEPTED)
    return just(Breach.DUPLICATE, note.id)


def told_again_beyond_the_bound(scene: Scene, dice: Random) -> Found:
    """The last of the channel's is one too many."""
    channel = any_note(scene, dice).channel
    notes = [one for one in scene.notes if one.channel is channel and one.end is Status.SENT]
    scene.faults.append(a_fault(scene, in_flight=len(notes) - 1))
    for note in notes:
        scene.call(note, Result.ACCEPTED)
    return just(Breach.DUPLICATE, notes[-1].id)


def attempted_early(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, waited=True)
    wait = dice.choice([one for one in scene.waiting if one.id == note.id])
    scene.call(note, Result.FAILED, at_ms=dice.randrange(wait.place.at_ms + 1, wait.due_ms))
    return just(Breach.EARLY, note.id)


def attempted_early_beyond_the_bound(scene: Scene, dice: Random) -> Found:
    scene.faults.append(a_kill(0, 9e9, in_flight=0))
    return attempted_early(scene, dice)


# Open circuits


def an_attempt_spent(scene: Scene, dice: Random) -> Found:
    wait = dice.choice([one for one in scene.waiting if one.channel is not None])
    assert wait.channel is not None
    open_for(scene, wait.channel, wait.place.at_ms - 1, wait.place.at_ms + 1)
    return just(Breach.SPENT_ATTEMPT, wait.id)


def given_up(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, Status.TEMPORARY_FAILURE)
    word = next(one for one in scene.words if one.outcome.notification_id == note.id)
    open_for(scene, note.channel, word.place.at_ms - 1, word.place.at_ms + 1)
    return just(Breach.SPENT_ATTEMPT, note.id)


def called_too_often(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice)
    begin_ms = scene.now_ms + 1
    for _ in range(3):
        scene.call(note, Result.THROTTLED)
    open_for(scene, note.channel, begin_ms, scene.now_ms + 1)
    return just(Breach.TOO_MANY_PROBES, note.channel)


def open_for(scene: Scene, channel: Channel, begin_ms: int, end_ms: int) -> None:
    """What is between them is judged."""
    opened_s = begin_ms / 1000 - RULES.circuit_grace_s
    words = [CircuitWord(opened_s, "simulated", True), CircuitWord(end_ms / 1000, "simulated", False)]
    scene.circuits[channel] = [words]


# Offsets


def not_committed(scene: Scene, dice: Random) -> Found:
    word = scene.words[-1]
    scene.committed[SINK, topics.OUTCOMES] = word.place.offset
    return just(Breach.UNCOMMITTED, f"{SINK} {topics.OUTCOMES}/0")


def overdue(scene: Scene, dice: Random) -> Found:
    """What has come back was not committed."""
    tier = topics.retry(TIERS_S[0])
    scene.committed[RETRY, tier] = scene.ends[tier] - 1
    return just(Breach.UNCOMMITTED, f"{RETRY} {tier}/0")


PLANTS: tuple[Plant, ...] = (
    told_again,
    told_again_beyond_the_bound,
    attempted_early,
    attempted_early_beyond_the_bound,
    an_attempt_spent,
    given_up,
    called_too_often,
    not_committed,
    overdue,
)
