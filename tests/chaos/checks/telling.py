"""Do outcomes say what the providers say? ``sent`` means accepted, and "not told" that nobody accepted it.

A permanent refusal is the last word on a notification also where an attempt before it was in doubt, so it says nothing
about those.
"""

from pipeline.outcomes import Status
from tests.chaos.facts import Facts
from tests.chaos.verdict import Breach, Violation

TOLD = frozenset({Status.SENT, Status.DELIVERED})
NOT_TOLD = frozenset({Status.TEMPORARY_FAILURE, Status.EXPIRED})


def check(facts: Facts) -> list[Violation]:
    found = []
    for id, words in facts.words.items():
        said = words[0].outcome
        if id not in facts.possible:
            continue
        accepted = [entry for channel, entry in facts.accepted.get(id, []) if channel is said.channel]
        if said.status in TOLD and not accepted:
            found.append(Violation(breach=Breach.NOT_TOLD, id=id, evidence=f"{said.status} at {said.finished_at}"))
        if said.status in NOT_TOLD and accepted:
            evidence = f"{said.status} at {said.finished_at}, accepted at {accepted[0].at:.3f}"
            found.append(Violation(breach=Breach.DENIED, id=id, evidence=evidence))
    return found
