"""Where was it lost? Behind the last party that remembers it; what nobody has committed past is unfinished.

Each function returns the stage, None for what is unfinished, and the evidence.
"""

from collections.abc import Sequence

from tests.chaos.account import ENRICH, RETRY, SINK, Coordinates, Place, send_group
from tests.chaos.facts import Facts, Owed
from tests.chaos.published import Line
from tests.chaos.verdict import Breach, Stage, Violation

Finding = tuple[Stage | None, str]


def of_notification(owed: Owed, facts: Facts) -> Finding:
    """Of one that has no row in Postgres."""
    if words := facts.words.get(owed.id):
        place = words[0].place
        if facts.is_past(SINK, place):
            return Stage.SINK, f"its outcome {_at(place)} was committed past and not stored"
        return None, f"its outcome {_at(place)} is not stored yet"
    if owed.id in facts.born:
        return _behind_enrich(owed, facts)
    return of_document(owed.line, facts)


def of_document(line: Line, facts: Facts) -> Finding:
    """Of one that the ledger does not have, or has otherwise."""
    place = facts.arrivals.get(line.id)
    if place is None:
        where = _at(Coordinates(line.topic, line.partition, line.offset))
        return Stage.BROKER, f"acknowledged {where}, and not there"
    if lined := facts.lined.get(place.coordinates):
        return Stage.ENRICH, f"the ledger has it as {lined[0].record.disposition}, without this"
    waits, returns = facts.waiting.get(line.id, []), facts.again.get(line.id, [])
    if len(waits) > len(returns):
        return _waits(waits[-1].place, facts)
    last = returns[-1].place if returns else place
    if facts.is_past(ENRICH, last):
        return Stage.ENRICH, f"committed past {_at(last)}, and the ledger does not have it"
    return None, f"lies unread {_at(last)}"


def violation(id: str, finding: Finding) -> Violation:
    stage, evidence = finding
    breach = Breach.UNFINISHED if stage is None else Breach.LOST
    return Violation(breach=breach, id=id, evidence=evidence, stage=stage)


def _behind_enrich(owed: Owed, facts: Facts) -> Finding:
    handed = facts.handed.get(owed.id, [])
    if not handed:
        return _not_handed(owed.line, facts)
    came_back = {(one.attempts, one.due_ms) for one in handed}
    waits = facts.waiting.get(owed.id, [])
    away = [one.place for one in waits if (one.attempts, one.due_ms) not in came_back]
    # A crash can make two ways of one: it is on its way as long as it is on any.
    still_away = [place for place in away if not facts.is_past(RETRY, place)]
    if still_away:
        return _waits(still_away[-1], facts)
    group = send_group(owed.channel)
    if unread := [one.place for one in handed if not facts.is_past(group, one.place)]:
        return None, f"lies unsettled {_at(unread[-1])}"
    if away:
        return _waits(away[-1], facts)
    return Stage.SEND, f"committed past {_at(handed[-1].place)}, {_remains(owed, facts)}"


def _not_handed(line: Line, facts: Facts) -> Finding:
    places: Sequence[Place] = [one.place for one in facts.again.get(line.id, [])]
    place = places[-1] if places else facts.arrivals.get(line.id)
    if place is not None and not facts.is_past(ENRICH, place):
        return None, f"in the ledger, not on a lane yet; {_at(place)} is not committed past"
    return Stage.LANE, "in the ledger, on no lane"


def _waits(place: Place, facts: Facts) -> Finding:
    if facts.is_past(RETRY, place):
        return Stage.RETRY, f"waited {_at(place)}, was committed past and did not come back"
    return None, f"waits {_at(place)}"


def _remains(owed: Owed, facts: Facts) -> str:
    told = len(facts.accepted.get(owed.id, []))
    letters = len(facts.letters_of.get(owed.id, []))
    return f"no outcome or wait; accepted by its provider {told} times, {letters} dead letters"


def _at(place: Place | Coordinates) -> str:
    return f"at {place.topic}/{place.partition}/{place.offset}"
