"""Nothing that must stay is ever deleted, and of the rest as much as lies in front of it."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deadletters import Place
from pipeline.dlq_marks import NOTHING, Act, Mark, histories
from pipeline.dlq_purge import PartitionPurge, Stop, plan_purge

OLD, YOUNG, BEFORE = 10, 200, 100


def letter(offset: int, subject: str, at_ms: int = OLD, partition: int = 0, reason: str = "bug") -> Place:
    return Place(partition=partition, offset=offset, at_ms=at_ms, subject=subject, reason=reason)


def mark(offset: int, subject: str, act: Act = Act.PARKED, partition: int = 0) -> Mark:
    replay = 1 if act is Act.REPLAYED else 0
    return Mark(
        act=act, dead_letter="0-0", subject=subject, replay=replay, partition=partition, offset=offset, at_ms=offset
    )


def plan(letters: list[Place], marks: list[Mark], end: int, *, open_too: bool = False) -> PartitionPurge:
    (one,) = plan_purge(letters, marks, {0: (0, end)}, before_ms=BEFORE, open_too=open_too)
    return one


@pytest.mark.parametrize(
    ("letters", "marks", "upto", "stop"),
    [
        ([letter(0, "a"), letter(1, "b")], [mark(2, "a"), mark(3, "b", Act.REPLAYED)], 4, None),
        ([letter(0, "a"), letter(1, "b", YOUNG)], [mark(2, "a"), mark(3, "b")], 1, Stop.YOUNG),
        ([letter(0, "a"), letter(1, "b")], [mark(2, "a")], 1, Stop.OPEN),
        ([letter(0, "a")], [mark(1, "a"), mark(2, "a", Act.UNPARKED)], 0, Stop.OPEN),
        # The twin at 2 stays, and without the mark at 1 it would count as never replayed.
        ([letter(0, "a"), letter(2, "a", YOUNG)], [mark(1, "a", Act.REPLAYED)], 1, Stop.MARK),
        ([], [mark(0, "gone before")], 1, None),
    ],
)
def test_a_partition_goes_up_to_the_first_record_that_must_stay(
    letters: list[Place], marks: list[Mark], upto: int, stop: Stop | None
) -> None:
    end = len(letters) + len(marks)
    assert (plan(letters, marks, end).upto, plan(letters, marks, end).stop) == (upto, stop)


def test_what_is_open_goes_only_when_asked_for_and_is_counted() -> None:
    found = plan([letter(0, "a"), letter(1, "b", reason="template")], [mark(2, "a")], 3, open_too=True)
    assert (found.upto, found.letters, found.still_open, found.staying) == (3, Counter(bug=1, template=1), 1, 0)
    assert found.deletes


def test_what_stays_in_one_partition_keeps_its_mark_in_another_and_so_on() -> None:
    letters = [
        *(letter(0, "a"), letter(2, "b")),  # partition 0: a, mark of c, b
        *(letter(0, "b", partition=1), letter(2, "c", YOUNG, partition=1)),  # partition 1: b, mark of b, c
    ]
    marks = [mark(1, "c"), mark(3, "a"), mark(1, "b", partition=1)]
    found = plan_purge(letters, marks, {0: (0, 4), 1: (0, 3)}, before_ms=BEFORE, open_too=False)
    # c stays, so its mark does; so b behind that mark does; so b's mark does.
    assert [(one.partition, one.upto, one.stop) for one in found] == [(0, 1, Stop.MARK), (1, 1, Stop.MARK)]


@st.composite
def topics_of_two(draw: st.DrawFn) -> dict[str, Any]:
    letters: list[Place] = []
    marks: list[Mark] = []
    bounds = {}
    for partition in (0, 1):
        records = draw(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["old", "young", *Act])), max_size=8))
        start = draw(st.integers(0, 3))
        for offset, (subject, kind) in enumerate(records, start=start):
            if isinstance(kind, Act):
                marks.append(mark(offset, subject, kind, partition))
            else:
                letters.append(letter(offset, subject, OLD if kind == "old" else YOUNG, partition))
        bounds[partition] = (start, start + len(records))
    return {"letters": letters, "marks": marks, "bounds": bounds}


@given(topics_of_two(), st.booleans())
def test_whatever_lies_there_no_state_is_lost(lies: dict[str, Any], open_too: bool) -> None:
    found = {one.partition: one for one in plan_purge(**lies, before_ms=BEFORE, open_too=open_too)}
    before = histories(lies["marks"])
    after = histories(one for one in lies["marks"] if one.offset >= found[one.partition].upto)
    for one in lies["letters"]:
        if one.offset >= found[one.partition].upto:
            assert after.get(one.subject) == before.get(one.subject)
        else:
            assert one.at_ms < BEFORE
            assert open_too or not before.get(one.subject, NOTHING).is_open
    for purge in found.values():
        start, end = lies["bounds"][purge.partition]
        assert start <= purge.upto <= end
        assert (purge.stop is None) is (purge.upto == end)
