"""Repeats are recognised by where they were first met, within a bounded memory."""

from faust.types.tuples import TP

from agents.recent import Recent
from pipeline.trail import Trail

HERE, THERE = TP("lane", 0), TP("lane", 1)
FIRST = Trail()


def test_the_same_attempt_elsewhere_is_a_repeat() -> None:
    recent = Recent()
    assert not recent.meet("n", FIRST, HERE, 1)
    assert recent.meet("n", FIRST, HERE, 2)
    assert recent.meet("n", FIRST, THERE, 1)


def test_the_same_record_again_is_none() -> None:
    recent = Recent()
    recent.meet("n", FIRST, HERE, 1)
    recent.meet("n", FIRST, HERE, 2)
    assert not recent.meet("n", FIRST, HERE, 1)


def test_another_attempt_is_none_even_where_none_was_spent() -> None:
    recent = Recent()
    recent.meet("n", FIRST, HERE, 1)
    assert not recent.meet("n", Trail(attempts=1), HERE, 2)
    assert not recent.meet("n", Trail(due_ms=5), HERE, 3)


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    recent = Recent(remember=2)
    for offset, name in enumerate("abc"):
        recent.meet(name, FIRST, HERE, offset)
    assert recent.meet("c", FIRST, HERE, 9)
    assert recent.meet("b", FIRST, HERE, 9)
    assert not recent.meet("a", FIRST, HERE, 9)
