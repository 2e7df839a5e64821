"""What is lost or unfinished, and behind whom?"""

from random import Random

import topics
from pipeline.ledger import Disposition
from tests.chaos.account import RETRY, SINK, send_group
from tests.chaos.verdict import Breach, Stage
from tests.unit.chaos.plants.common import (
    Found,
    Plant,
    any_event,
    any_note,
    any_poison,
    change_ledger,
    just,
    lost,
    tell_unknown,
)
from tests.unit.chaos.scene import Scene


def by_the_broker(scene: Scene, dice: Random) -> Found:
    event = any_event(scene, dice)
    by_enrich_of(scene, event)
    scene.arrivals = [one for one in scene.arrivals if one.id != event]
    return lost(Stage.BROKER, *scene.ids_of(event))


def by_the_broker_poison(scene: Scene, dice: Random) -> Found:
    poison = any_poison(scene, dice)
    scene.forget_document(poison)
    scene.arrivals = [one for one in scene.arrivals if one.id != poison]
    return lost(Stage.BROKER, poison)


def by_enrich_of(scene: Scene, event: str) -> None:
    scene.forget(scene.ids_of(event))
    scene.forget_document(event)


def by_enrich(scene: Scene, dice: Random) -> Found:
    event = any_event(scene, dice)
    by_enrich_of(scene, event)
    return lost(Stage.ENRICH, *scene.ids_of(event))


def by_enrich_poison(scene: Scene, dice: Random) -> Found:
    poison = any_poison(scene, dice)
    scene.forget_document(poison)
    return lost(Stage.ENRICH, poison)


def taken_for_unsubscribed(scene: Scene, dice: Random) -> Found:
    event = any_event(scene, dice)
    scene.forget(scene.ids_of(event))
    change_ledger(scene, event, Disposition.UNSUBSCRIBED)
    return lost(Stage.ENRICH, *scene.ids_of(event))


def between_ledger_and_lane(scene: Scene, dice: Random) -> Found:
    note = dice.choice(scene.notes)
    scene.forget({note.id})
    return lost(Stage.LANE, note.id)


def by_send(scene: Scene, dice: Random) -> Found:
    note = dice.choice(scene.notes)
    scene.forget({note.id}, but=("handed", "waiting", "entries"))
    return lost(Stage.SEND, note.id)


def by_send_that_told_nobody(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice)
    scene.forget({note.id}, but=("handed", "waiting"))
    return lost(Stage.SEND, note.id)


def by_retry(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, waited=True)
    scene.forget({note.id}, but=("handed", "waiting"))
    scene.handed = [one for one in scene.handed if one.id != note.id or one.attempts < note.fails]
    return lost(Stage.RETRY, note.id)


def an_event_by_retry(scene: Scene, dice: Random) -> Found:
    event = scene.publish("s0", looks=1)
    by_enrich_of(scene, event)
    scene.again = [one for one in scene.again if one.id != event]
    return lost(Stage.RETRY, *scene.ids_of(event))


def by_the_sink(scene: Scene, dice: Random) -> Found:
    note = dice.choice(scene.notes)
    scene.rows = [one for one in scene.rows if one.id != note.id]
    return lost(Stage.SINK, note.id)


def a_ledger_row(scene: Scene, dice: Random) -> Found:
    row = dice.choice(scene.ledger_rows)
    scene.ledger_rows.remove(row)
    return lost(Stage.SINK, str(row.source))


def part_of_an_unknown_event(scene: Scene, dice: Random) -> Found:
    """The broker's word is missing, and the event is there: it is owed whole."""
    event = any_event(scene, dice)
    tell_unknown(scene, event)
    note = dice.choice([one for one in scene.notes if one.event == event])
    scene.forget({note.id}, but=("handed", "waiting"))
    return lost(Stage.SEND, note.id)


# Unfinished


def waiting_still(scene: Scene, dice: Random) -> Found:
    note = any_note(scene, dice, waited=True)
    scene.forget({note.id}, but=("handed", "waiting"))
    scene.handed = [one for one in scene.handed if one.id != note.id or one.attempts < note.fails]
    last = max((one for one in scene.waiting if one.id == note.id), key=lambda one: one.attempts)
    scene.waiting[scene.waiting.index(last)] = last._replace(due_ms=scene.now_ms + 60_000)
    scene.committed[RETRY, last.place.topic] = last.place.offset
    return just(Breach.UNFINISHED, note.id)


def not_sent_yet(scene: Scene, dice: Random) -> Found:
    event = scene.publish("s0")
    found: Found = set()
    for note in scene.notes:
        if note.event == event:
            lane = next(one.place for one in scene.handed if one.id == note.id)
            key = (send_group(note.channel), lane.topic)
            scene.committed[key] = min(lane.offset, scene.committed.get(key, lane.offset))
            found |= just(Breach.UNFINISHED, note.id) | just(Breach.UNCOMMITTED, f"{key[0]} {key[1]}/0")
    return found


def not_stored_yet(scene: Scene, dice: Random) -> Found:
    last = scene.words[-1]
    scene.rows = [one for one in scene.rows if one.id != last.outcome.notification_id]
    scene.committed[SINK, topics.OUTCOMES] = last.place.offset
    unread = just(Breach.UNCOMMITTED, f"{SINK} {topics.OUTCOMES}/0")
    return just(Breach.UNFINISHED, last.outcome.notification_id) | unread


PLANTS: tuple[Plant, ...] = (
    by_the_broker,
    by_the_broker_poison,
    by_enrich,
    by_enrich_poison,
    taken_for_unsubscribed,
    between_ledger_and_lane,
    by_send,
    by_send_that_told_nobody,
    by_retry,
    an_event_by_retry,
    by_the_sink,
    a_ledger_row,
    part_of_an_unknown_event,
    waiting_still,
    not_sent_yet,
    not_stored_yet,
)
