"""What is counted as waiting for somebody, and what as late."""

from collections import Counter

import pytest

from pipeline.deadletters import Place
from pipeline.dlq_marks import Act, Mark, histories
from pipeline.symptoms import DAY_MS, HOUR_MS, DeadLetterFacts, dead_letter_facts, tier_facts

NOW_MS = 10 * DAY_MS


def died(subject: str, ago_ms: int, reason: str) -> Place:
    return Place(partition=0, offset=0, at_ms=NOW_MS - ago_ms, subject=subject, reason=reason)


def test_open_dead_letters_are_counted_by_age_and_reason() -> None:
    done = histories(
        [
            Mark(act=Act.PARKED, dead_letter="0-0", subject="parked"),
            Mark(act=Act.REPLAYED, dead_letter="0-0", subject="replayed", replay=1),
        ]
    )
    letters = [
        died("a", HOUR_MS - 1, "bug"),
        died("b", HOUR_MS, "invalid-input"),
        died("c", DAY_MS, "bug"),
        died("parked", 0, "bug"),
        died("replayed", 0, "bug"),
    ]
    facts = dead_letter_facts(letters, done, NOW_MS)
    assert [+one for one in (facts.hour, facts.day, facts.kept)] == [
        Counter(bug=1),
        Counter({"bug": 1, "invalid-input": 1}),
        Counter({"bug": 2, "invalid-input": 1}),
    ]
    assert facts.parked == 1
    assert dead_letter_facts([], {}, NOW_MS) == DeadLetterFacts(Counter(), Counter(), Counter(), 0)


@pytest.mark.parametrize(
    ("due_ms", "overdue_s"), [([], None), ([9_000], 1.0), ([12_000], -2.0), ([12_000, 4_000], 6.0)]
)
def test_a_tier_is_as_late_as_its_latest_head(due_ms: list[int], overdue_s: float | None) -> None:
    assert tier_facts("30s", 5, due_ms, 10_000).overdue_s == overdue_s
