"""Has everything come to its end? Each notification of an event, and each document that had to be refused."""

from pipeline.ledger import Disposition
from tests.chaos.checks import loss
from tests.chaos.facts import Facts
from tests.chaos.published import Line
from tests.chaos.verdict import Breach, Violation


def check(facts: Facts) -> list[Violation]:
    found = [
        loss.violation(owed.id, loss.of_notification(owed, facts)) for owed in facts.owed if owed.id not in facts.rows
    ]
    for poison in facts.poisons:
        found += _refusal(poison, facts)
    return found


def _refusal(poison: Line, facts: Facts) -> list[Violation]:
    place = facts.arrivals.get(poison.id)
    lined = facts.lined.get(place.coordinates, []) if place else []
    if place is None or not lined:
        return [loss.violation(poison.id, loss.of_document(poison, facts))]
    wrong = {one.record.disposition for one in lined} - {Disposition.REFUSED}
    if wrong:
        evidence = f"{poison.way}: the ledger says {', '.join(sorted(wrong))}"
        return [Violation(breach=Breach.NOT_REFUSED, id=poison.id, evidence=evidence)]
    if place.coordinates not in facts.letters_from:
        return [Violation(breach=Breach.MISSING_LETTER, id=poison.id, evidence=f"refused: {poison.way}")]
    return []
