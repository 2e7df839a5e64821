"""What are plants made of? A choice from the scene, and a change to it."""

from collections.abc import Callable
from random import Random

import msgspec

from pipeline.ledger import Disposition
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from tests.chaos.account import Fault, Letter, Word
from tests.chaos.published import Kind, Told
from tests.chaos.verdict import Breach, Stage
from tests.unit.chaos.scene import Note, Scene

Found = set[tuple[Breach, Stage | None, str]]
Plant = Callable[[Scene, Random], Found]


def lost(stage: Stage, *ids: str) -> Found:
    return {(Breach.LOST, stage, id) for id in ids}


def just(breach: Breach, id: str) -> Found:
    return {(breach, None, id)}


def any_note(scene: Scene, dice: Random, end: Status = Status.SENT, *, waited: bool = False) -> Note:
    return dice.choice([one for one in scene.notes if one.end is end and (one.fails > 0 or not waited)])


def any_event(scene: Scene, dice: Random) -> str:
    return dice.choice([line.id for line in scene.lines if line.kind is Kind.EVENT])


def any_poison(scene: Scene, dice: Random) -> str:
    return dice.choice([line.id for line in scene.lines if line.kind is Kind.POISON])


def a_fault(scene: Scene, *, in_flight: int) -> Fault:
    """A kill that covers all that comes next."""
    at_s = scene.now_ms / 1000
    return a_kill(at_s, at_s + 60, in_flight=in_flight)


def a_kill(at_s: float, until_s: float, *, in_flight: int, channel: Channel | None = None) -> Fault:
    return Fault(name="SIGKILL", at_s=at_s, until_s=until_s, channel=channel, in_flight=in_flight, ends_workers=True)


def tell_unknown(scene: Scene, id: str) -> None:
    line = next(one for one in scene.lines if one.id == id)
    unknown = msgspec.structs.replace(line, told=Told.UNKNOWN, topic="", partition=-1, offset=-1)
    scene.lines[scene.lines.index(line)] = unknown


def change_ledger(scene: Scene, document: str, disposition: Disposition) -> None:
    """In the topic and in Postgres alike."""
    at = scene.source(document)
    for index, one in enumerate(scene.ledger):
        if one.record.source.offset == at.offset:
            record = msgspec.structs.replace(one.record, disposition=disposition, notifications=())
            scene.ledger[index] = one._replace(record=record)
    scene.ledger_rows = [
        row._replace(disposition=disposition) if row.source == at else row for row in scene.ledger_rows
    ]


def change_word(scene: Scene, word: Word, **fields: object) -> None:
    changed = msgspec.structs.replace(word.outcome, **fields)
    scene.words[scene.words.index(word)] = word._replace(outcome=changed)


def change_row(scene: Scene, dice: Random, **fields: object) -> Found:
    row = dice.choice(scene.rows)
    scene.rows[scene.rows.index(row)] = row._replace(**fields)  # type: ignore[arg-type]
    return just(Breach.DISAGREEMENT, row.id)


def change_letter(scene: Scene, letter: Letter, changed: Letter) -> Found:
    scene.letters[scene.letters.index(letter)] = changed
    place = letter.place
    return just(Breach.UNEXPLAINED_LETTER, f"{place.topic}/{place.partition}/{place.offset}")
