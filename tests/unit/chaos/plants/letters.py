"""Which dead letter is missing, or does not say what it must?"""

from random import Random

import topics
from pipeline.ledger import Disposition
from pipeline.outcomes import Status
from tests.chaos.account import Letter
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.common import Found, Plant, any_note, any_poison, change_ledger, change_letter, just
from tests.unit.chaos.scene import Scene


def refused_without_a_letter(scene: Scene, dice: Random) -> Found:
    poison = any_poison(scene, dice)
    scene.letters = [one for one in scene.letters if one.origin != scene.source(poison)]
    return just(Breach.MISSING_LETTER, poison)


def given_up_without_a_letter(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, Status.TEMPORARY_FAILURE)
    scene.letters = [one for one in scene.letters if one.notification_id != note.id]
    return just(Breach.MISSING_LETTER, note.id)


def a_letter_without_reason(scene: Scene, dice: Random) -> Found:
    letter = dice.choice(scene.letters)
    return change_letter(scene, letter, letter._replace(reason=""))


def a_letter_without_origin(scene: Scene, dice: Random) -> Found:
    letter = dice.choice([one for one in scene.letters if one.notification_id is not None])
    return change_letter(scene, letter, letter._replace(origin=None))


def a_letter_of_nothing(scene: Scene, dice: Random) -> Found:
    origin = dice.choice(scene.handed).place.coordinates
    scene.letters.append(Letter(scene.place(topics.DLQ), "bug", origin, "a stranger's"))
    return just(Breach.LETTER_WITHOUT_OUTCOME, "a stranger's")


def poison_not_refused(scene: Scene, dice: Random) -> Found:
    poison = any_poison(scene, dice)
    change_ledger(scene, poison, Disposition.SILENT)
    return just(Breach.NOT_REFUSED, poison)


PLANTS: tuple[Plant, ...] = (
    refused_without_a_letter,
    given_up_without_a_letter,
    a_letter_without_reason,
    a_letter_without_origin,
    a_letter_of_nothing,
    poison_not_refused,
)
