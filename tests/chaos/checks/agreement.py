"""Do the topics and Postgres say the same? The first word is the row, and no later word contradicts it.

What has a word and no row is for `endings` to judge, and what has no cause for `causes`.
"""

from tests.chaos.account import SINK, Coordinates, LedgerRow, Lined
from tests.chaos.facts import Facts, source_of
from tests.chaos.verdict import Breach, Stage, Violation


def check(facts: Facts) -> list[Violation]:
    return _rows(facts) + _later_words(facts) + _ledger(facts)


def _rows(facts: Facts) -> list[Violation]:
    found = []
    for id, row in facts.rows.items():
        if id not in facts.possible:
            continue
        words = facts.words.get(id)
        if words is None:
            found.append(Violation(breach=Breach.DISAGREEMENT, id=id, evidence=f"no word for the row {row}"))
            continue
        said = words[0].outcome
        if (said.status, said.attempts, said.finished_at) != (row.status, row.attempts, row.finished_at):
            found.append(Violation(breach=Breach.DISAGREEMENT, id=id, evidence=f"{said} became {row}"))
    return found


def _later_words(facts: Facts) -> list[Violation]:
    found = []
    for id, words in facts.words.items():
        statuses = [word.outcome.status for word in words]
        if len(set(statuses)) > 1:
            evidence = f"{' then '.join(statuses)}, last at {words[-1].place}"
            found.append(Violation(breach=Breach.CONTRADICTION, id=id, evidence=evidence))
    return found


def _ledger(facts: Facts) -> list[Violation]:
    said: dict[tuple[Coordinates, int], Lined] = {}
    for lined in facts.account.ledger:
        said.setdefault((source_of(lined), lined.record.source.index), lined)
    stored = {(row.source, row.number): row for row in facts.account.ledger_rows}
    found = [_unstored(lined, facts) for key, lined in said.items() if key not in stored]
    for key, row in stored.items():
        first = said.get(key)
        if first is None or first.record.disposition != row.disposition:
            found.append(Violation(breach=Breach.DISAGREEMENT, id=_name(row), evidence=f"{first} became {row}"))
    return found


def _unstored(lined: Lined, facts: Facts) -> Violation:
    id = f"{source_of(lined)}"
    if facts.is_past(SINK, lined.place):
        return Violation(breach=Breach.LOST, id=id, evidence=f"no row for {lined.place}", stage=Stage.SINK)
    return Violation(breach=Breach.UNFINISHED, id=id, evidence=f"{lined.place} is not stored yet")


def _name(row: LedgerRow) -> str:
    return f"{row.source}"
