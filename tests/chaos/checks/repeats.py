"""Was anybody told again, or before it was time, without a fault that explains it?

    told again     a provider accepted an id that it had accepted before
    early          a provider was called for an id that was waiting: after the wait was recorded, before it was due

Both happen when a worker dies: what it was calling with is repeated by the next one, at once, while a wait that it had
recorded still stands. So a repeat is charged to a fault whose interval it lies in, by its id: one message that was in
flight may be repeated in several ways, and counts once. More ids than the fault had in flight are too many; where there
was no fault, one is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.notifications import Channel
from simulators.ledger import Entry, Result
from tests.chaos.account import Fault, Waiting
from tests.chaos.facts import Facts
from tests.chaos.verdict import Breach, Violation


class Repeat(NamedTuple):
    breach: Breach
    channel: Channel
    id: str
    at_s: float
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """By channel: tellings beyond the first, and those that the provider recognised by their key."""

    told_twice: Counter[Channel]
    honoured: Counter[Channel]
    early_in_doubt: int
    violations: Sequence[Violation]


def count(facts: Facts) -> Repeats:
    again, early = list(_told_again(facts)), list(_early(facts))
    unexplained = _charge([*again, *early], facts.account.faults)
    return Repeats(
        told_twice=Counter(one.channel for one in again),
        honoured=_honoured(facts),
        early_in_doubt=len(early) - sum(one.breach is Breach.EARLY for one, _ in unexplained),
        violations=[Violation(breach=one.breach, id=one.id, evidence=why) for one, why in unexplained],
    )


def _told_again(facts: Facts) -> Iterable[Repeat]:
    for id, told in facts.accepted.items():
        for channel, entry in told[1:]:
            evidence = f"{channel} accepted it at {told[0][1].at:.3f}, again at {entry.at:.3f}"
            yield Repeat(Breach.DUPLICATE, channel, id, entry.at, evidence)


def _early(facts: Facts) -> Iterable[Repeat]:
    for channel, entries in facts.account.entries.items():
        for entry in entries:
            for wait in facts.waiting.get(entry.id, ()):
                if _is_early(entry, wait):
                    evidence = f"{channel} was called at {entry.at:.3f}; {wait.place} waits until {wait.due_ms}"
                    yield Repeat(Breach.EARLY, channel, entry.id, entry.at, evidence)
                    break


def _is_early(entry: Entry, wait: Waiting) -> bool:
    # The time of the wait is cut to the millisecond, and so may lie before the call that it follows from.
    return wait.place.at_ms + 1 <= entry.at * 1000 < wait.due_ms


def _honoured(facts: Facts) -> Counter[Channel]:
    return Counter(
        channel
        for channel, entries in facts.account.entries.items()
        for entry in entries
        if entry.result is Result.REPEAT
    )


def _charge(repeats: Iterable[Repeat], faults: Sequence[Fault]) -> list[tuple[Repeat, str]]:
    """What no fault explains, and why none does."""
    charged: defaultdict[tuple[int, Channel], set[str]] = defaultdict(set)
    unexplained = []
    for repeat in sorted(repeats, key=lambda one: one.at_s):
        covering = [
            (charged[number, repeat.channel], fault)
            for number, fault in enumerate(faults)
            if fault.covers(repeat.channel, repeat.at_s)
        ]
        if any(repeat.id in ids for ids, _ in covering):
            continue
        room = [(fault.until_s, ids) for ids, fault in covering if len(ids) < fault.in_flight]
        if room:
            _, ids = min(room, key=lambda one: one[0])
            ids.add(repeat.id)
            continue
        why = "; beyond what " + ", ".join(fault.name for _, fault in covering) + " explains" if covering else ""
        unexplained.append((repeat, repeat.evidence + why))
    return unexplained
