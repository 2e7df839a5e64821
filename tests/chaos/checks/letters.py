"""Does every dead letter say why and whence, and does what was given up have one?

A notification that is owed and has a dead letter but no outcome is lost: `endings` says so.
"""

from pipeline.outcomes import Outcome, Status
from tests.chaos.account import Letter
from tests.chaos.facts import Facts, source_of
from tests.chaos.verdict import Breach, Violation

GIVEN_UP = frozenset({Status.TEMPORARY_FAILURE, Status.TECHNICAL_FAILURE})


def check(facts: Facts) -> list[Violation]:
    return [
        *(
            Violation(breach=Breach.UNEXPLAINED_LETTER, id=_name(letter), evidence=f"{letter}")
            for letter in facts.account.letters
            if not letter.reason or letter.origin is None
        ),
        *(
            Violation(breach=Breach.LETTER_WITHOUT_OUTCOME, id=id, evidence=f"{letters[0]}")
            for id, letters in facts.letters_of.items()
            if id not in facts.words and id not in facts.rows and id not in facts.possible
        ),
        *(
            Violation(breach=Breach.MISSING_LETTER, id=id, evidence=f"{words[0].outcome.status}")
            for id, words in facts.words.items()
            if words[0].outcome.status in GIVEN_UP and not _has_letter(words[0].outcome, facts)
        ),
    ]


def _has_letter(outcome: Outcome, facts: Facts) -> bool:
    """Its own, or its event's, where the text could not be made."""
    id = outcome.notification_id
    if id in facts.letters_of:
        return True
    born = facts.born.get(id)
    return outcome.attempts == 0 and born is not None and source_of(born[0]) in facts.letters_from


def _name(letter: Letter) -> str:
    return f"{letter.place.topic}/{letter.place.partition}/{letter.place.offset}"
