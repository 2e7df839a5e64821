"""Is there a cause for every outcome, and for every telling? An event of ours, to somebody who follows its shipment."""

from tests.chaos.account import Word
from tests.chaos.facts import Facts, Owed
from tests.chaos.verdict import Breach, Violation


def check(facts: Facts) -> list[Violation]:
    return _uncaused(facts) + _told(facts) + _misnamed(facts)


def _uncaused(facts: Facts) -> list[Violation]:
    ended = {**facts.words, **facts.rows}
    return [
        Violation(breach=Breach.UNCAUSED, id=id, evidence=f"{ended[id]}") for id in ended.keys() - facts.possible.keys()
    ]


def _told(facts: Facts) -> list[Violation]:
    """What belongs to an event of ours is owed once it was told: were its outcome missing, it would be lost."""
    known = facts.possible.keys() | facts.words.keys() | facts.rows.keys()
    return [
        Violation(breach=Breach.UNCAUSED_TELLING, id=id, evidence=f"{channel} accepted it at {entry.at:.3f}")
        for id in facts.accepted.keys() - known
        for channel, entry in facts.accepted[id][:1]
    ]


def _misnamed(facts: Facts) -> list[Violation]:
    found = []
    for id, words in facts.words.items():
        owed = facts.possible.get(id)
        if owed is not None and not all(_is_about(word, owed) for word in words):
            evidence = f"belongs to {owed.line.id} for {owed.recipient} by {owed.channel}; {words[0].outcome}"
            found.append(Violation(breach=Breach.MISNAMED, id=id, evidence=evidence))
    return found


def _is_about(word: Word, owed: Owed) -> bool:
    outcome = word.outcome
    return (outcome.event_id, outcome.recipient, outcome.channel) == (owed.line.id, owed.recipient, owed.channel)
