"""The last mark of a subject tells its state; all of them are its history."""

import pytest

from pipeline import trail as trails
from pipeline.dlq_marks import NOTHING, Act, Mark, headers, histories, read
from pipeline.trail import HeaderList, Trail

REPLAYED, PARKED, UNPARKED = Act.REPLAYED, Act.PARKED, Act.UNPARKED


def mark(act: Act, *, subject: str = "s", replay: int = 0, at_ms: int = 0, offset: int = 0) -> Mark:
    return Mark(act=act, dead_letter="2-7", subject=subject, replay=replay, at_ms=at_ms, offset=offset)


def back(written: HeaderList) -> Mark | None:
    """As the topic has them at 2-9."""
    raw = [(name, bytes(value)) for name, value in written if isinstance(value, bytes)]
    return read(raw, trails.read(raw, 0), 2, 9, 5)


@pytest.mark.parametrize(
    "one",
    [
        Mark(act=REPLAYED, dead_letter="2-7", subject="s", replay=3, target="herald.sms.urgent.v1", by="olga"),
        Mark(act=PARKED, dead_letter="2-7", subject="s", by="olga", why="старый издатель"),
        Mark(act=UNPARKED, dead_letter="2-7", subject="s"),
    ],
)
def test_a_mark_comes_back_as_it_was_written(one: Mark) -> None:
    found = back(headers(one))
    assert found is not None
    assert (found.act, found.dead_letter, found.subject, found.replay) == (one.act, "2-7", "s", one.replay)
    assert (found.target, found.by, found.why) == (one.target, one.by, one.why)
    assert (found.partition, found.offset, found.at_ms) == (2, 9, 5)


def test_a_text_that_is_too_long_is_cut_between_characters() -> None:
    found = back(headers(Mark(act=PARKED, dead_letter="2-7", subject="s", why="ж" * 1_000)))
    assert found is not None
    assert found.why == "ж" * (trails.MAX_VALUE_BYTES // 2)


def test_a_dead_letter_is_no_mark() -> None:
    assert back(trails.write(Trail(origin_topic="cargo.status.v1", reason="bug", replay=2))) is None


@pytest.mark.parametrize(
    ("acts", "parked", "replays", "is_open"),
    [
        ([], False, 0, True),
        ([PARKED], True, 0, False),
        ([PARKED, UNPARKED], False, 0, True),
        ([PARKED, UNPARKED, PARKED], True, 0, False),
        ([REPLAYED], False, 1, False),
        ([REPLAYED, PARKED], True, 1, False),
        ([PARKED, REPLAYED], False, 1, False),  # a replay ends a parking
        ([REPLAYED, PARKED, UNPARKED], False, 1, False),
    ],
)
def test_the_last_mark_tells_the_state(acts: list[Act], parked: bool, replays: int, is_open: bool) -> None:
    marks = [mark(act, replay=int(act is REPLAYED), at_ms=at) for at, act in enumerate(acts)]
    found = histories(reversed(marks)).get("s", NOTHING)
    assert (found.parked is not None, found.replays, found.is_open) == (parked, replays, is_open)


def test_marks_of_the_same_millisecond_count_in_the_order_of_the_topic() -> None:
    assert histories([mark(UNPARKED, offset=2), mark(PARKED, offset=1)])["s"].parked is None


def test_replays_are_counted_by_their_number_for_each_subject_alone() -> None:
    # One that was broken off between its records and its mark is marked a second time under the same number.
    found = histories([mark(REPLAYED, replay=1), mark(REPLAYED, replay=1), mark(REPLAYED, subject="t", replay=2)])
    assert {subject: history.replays for subject, history in found.items()} == {"s": 1, "t": 2}
