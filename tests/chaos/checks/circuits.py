"""Was an open circuit left alone? No attempt is spent on it, and its provider is called by probes alone.

A channel's circuit counts as open while that of each of its workers is. What was begun before it opened gets a grace to
end. A probe that is met with silence is in doubt and does spend an attempt: that is allowed as often as a probe is. A
worker that is killed forgets its circuit without a word, so the interval of such a fault ends what was open and is not
judged.
"""

from collections.abc import Iterator, Sequence
from math import floor, inf
from typing import NamedTuple

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from tests.chaos.account import CircuitWord, Fault, Handed, Place
from tests.chaos.facts import Facts
from tests.chaos.verdict import Breach, Violation

FAILED = frozenset({Status.TEMPORARY_FAILURE, Status.PERMANENT_FAILURE, Status.TECHNICAL_FAILURE, Status.UNCONFIRMED})


class Spent(NamedTuple):
    """An attempt that was made for nothing."""

    at_ms: int
    id: str
    in_doubt: bool
    evidence: str


class Span(NamedTuple):
    begin_s: float
    end_s: float

    def holds(self, at_s: float) -> bool:
        return self.begin_s <= at_s < self.end_s


def check(facts: Facts) -> list[Violation]:
    found = []
    for channel, workers in facts.account.circuits.items():
        faults = [one for one in facts.account.faults if one.channel in (None, channel)]
        grace_s = facts.account.rules.circuit_grace_s
        judged = [Span(span.begin_s + grace_s, span.end_s) for span in open_spans(workers, faults)]
        for span in judged:
            if span.begin_s < span.end_s:
                found += _judge(channel, span, facts)
    return found


def _judge(channel: Channel, span: Span, facts: Facts) -> list[Violation]:
    probes = _probes(span, facts)
    spent = [one for one in _spent(channel, facts) if span.holds(one.at_ms / 1000)]
    in_doubt = sorted(one for one in spent if one.in_doubt)
    found = [
        Violation(breach=Breach.SPENT_ATTEMPT, id=one.id, evidence=one.evidence)
        for one in [*(one for one in spent if not one.in_doubt), *in_doubt[probes:]]
    ]
    calls = sum(span.holds(entry.at) for entry in facts.account.entries.get(channel, ()))
    if calls > probes:
        evidence = f"{calls} calls from {span.begin_s:.3f} to {span.end_s:.3f}, at most {probes} are probes"
        found.append(Violation(breach=Breach.TOO_MANY_PROBES, id=channel, evidence=evidence))
    return found


def _probes(span: Span, facts: Facts) -> int:
    """How many there may be; an interval that nobody ended lasts as long as we know of."""
    lasted_s = min(span.end_s, facts.account.read_ms / 1000) - span.begin_s
    return floor(max(lasted_s, 0.0) / facts.account.rules.probe_every_s) + 1


def open_spans(workers: Sequence[Sequence[CircuitWord]], faults: Sequence[Fault]) -> list[Span]:
    """When the circuits of all workers were open at once."""
    common = [Span(-inf, inf)] if workers else []
    for words in workers:
        common = _common(common, _of_worker(words, [one for one in faults if one.ends_workers]))
    return common


def _of_worker(words: Sequence[CircuitWord], faults: Sequence[Fault]) -> list[Span]:
    ends = [(one.at_s, False) for one in faults] + [(one.until_s, False) for one in faults]
    turns = sorted([(word.at_s, word.opened) for word in words] + ends)
    spans: list[Span] = []
    opened_s: float | None = None
    for at_s, opened in turns:
        if opened and opened_s is None and not any(one.at_s <= at_s <= one.until_s for one in faults):
            opened_s = at_s
        elif not opened and opened_s is not None:
            spans.append(Span(opened_s, at_s))
            opened_s = None
    return spans if opened_s is None else [*spans, Span(opened_s, inf)]


def _common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    both = [Span(max(one.begin_s, two.begin_s), min(one.end_s, two.end_s)) for one in some for two in others]
    return sorted(span for span in both if span.begin_s < span.end_s)


def _spent(channel: Channel, facts: Facts) -> Iterator[Spent]:
    """Every attempt of the channel that ended in a wait, or in failure."""
    for wait in facts.account.waiting:
        before = _handed_before(wait.id, wait.place, facts)
        if wait.channel is channel and wait.attempts > (before.attempts if before else 0):
            evidence = f"{channel} {wait.place} has {wait.attempts} attempts, before it {before}"
            yield Spent(wait.place.at_ms, wait.id, wait.in_doubt, evidence)
    for word in facts.account.words:
        said = word.outcome
        if said.channel is channel and said.status in FAILED:
            before = _handed_before(said.notification_id, word.place, facts)
            if said.attempts > (before.attempts if before else 0):
                evidence = f"{channel} {said.status} after {said.attempts} attempts, at {word.place}"
                in_doubt = said.status is Status.UNCONFIRMED
                yield Spent(word.place.at_ms, said.notification_id, in_doubt, evidence)


def _handed_before(id: str, place: Place, facts: Facts) -> Handed | None:
    """The attempt that led to the record: the last one that was handed over before it."""
    handed = [one for one in facts.handed.get(id, ()) if one.place.at_ms <= place.at_ms]
    return max(handed, key=lambda one: one.place.at_ms, default=None)
