"""What says one thing here and another there, or has no cause at all?"""

import uuid
from datetime import timedelta
from random import Random

import msgspec

import topics
from pipeline.ledger import Disposition
from pipeline.outcomes import Status
from simulators.ledger import Result
from tests.chaos.account import Row, Word
from tests.chaos.verdict import Breach
from tests.unit.chaos.plants.common import Found, Plant, any_note, change_row, change_word, just
from tests.unit.chaos.scene import Note, Scene


def an_outcome_of_nothing(scene: Scene, dice: Random) -> Found:
    word = next(one for one in scene.words if one.outcome.status is Status.SENT)
    stranger = msgspec.structs.replace(word.outcome, notification_id=str(uuid.UUID(int=dice.getrandbits(128))))
    scene.words.append(Word(scene.place(topics.OUTCOMES), stranger))
    scene.rows.append(Row(stranger.notification_id, stranger.status, stranger.attempts, stranger.finished_at))
    return just(Breach.UNCAUSED, stranger.notification_id)


def a_telling_of_nothing(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice)
    stranger = Note("a stranger's", note.event, note.recipient, note.channel, 0, Status.SENT)
    scene.call(stranger, Result.ACCEPTED)
    return just(Breach.UNCAUSED_TELLING, stranger.id)


def somebody_elses_outcome(scene: Scene, dice: Random) -> Found:
    word = dice.choice(scene.words)
    change_word(scene, word, recipient="somebody else")
    return just(Breach.MISNAMED, word.outcome.notification_id)


def another_status_in_postgres(scene: Scene, dice: Random) -> Found:
    return change_row(scene, dice, status=Status.EXPIRED)


def other_attempts_in_postgres(scene: Scene, dice: Random) -> Found:
    return change_row(scene, dice, attempts=99)


def another_time_in_postgres(scene: Scene, dice: Random) -> Found:
    row = dice.choice(scene.rows)
    return change_row(scene, dice, finished_at=row.finished_at + timedelta(days=1))


def a_row_without_a_word(scene: Scene, dice: Random) -> Found:
    word = next(one for one in scene.words if one.outcome.status is Status.SENT)
    scene.words.remove(word)
    return just(Breach.DISAGREEMENT, word.outcome.notification_id)


def another_disposition_in_postgres(scene: Scene, dice: Random) -> Found:
    row = dice.choice(scene.ledger_rows)
    scene.ledger_rows[scene.ledger_rows.index(row)] = row._replace(disposition=Disposition.SILENT)
    return just(Breach.DISAGREEMENT, str(row.source))


def a_contradiction(scene: Scene, dice: Random) -> Found:
    word = dice.choice(scene.words)
    later = msgspec.structs.replace(word.outcome, status=Status.UNCONFIRMED)
    scene.words.append(Word(scene.place(topics.OUTCOMES), later))
    return just(Breach.CONTRADICTION, word.outcome.notification_id)


def sent_to_nobody(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice)
    scene.entries[note.channel] = [one for one in scene.entries[note.channel] if one.id != note.id]
    return just(Breach.NOT_TOLD, note.id)


def told_and_denied(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, Status.TEMPORARY_FAILURE)
    scene.call(note, Result.ACCEPTED)
    return just(Breach.DENIED, note.id)


PLANTS: tuple[Plant, ...] = (
    an_outcome_of_nothing,
    a_telling_of_nothing,
    somebody_elses_outcome,
    another_status_in_postgres,
    other_attempts_in_postgres,
    another_time_in_postgres,
    a_row_without_a_word,
    another_disposition_in_postgres,
    a_contradiction,
    sent_to_nobody,
    told_and_denied,
)
