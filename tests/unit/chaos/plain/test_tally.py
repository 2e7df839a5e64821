"""What counts as lost, as given up, as told twice?"""

from collections.abc import Sequence

import pytest

from simulators.ledger import Entry, Result
from tests.chaos.plain.tally import Tally, tally
from tests.chaos.published import Kind, Line, Told

LINES = [
    Line(kind=Kind.SUBSCRIPTION, id="s", shipment="s", at=0, told=Told.OK, recipients=("a", "b")),
    Line(kind=Kind.EVENT, id="e", shipment="s", at=0, told=Told.OK),
    Line(kind=Kind.EVENT, id="not taken", shipment="s", at=0, told=Told.UNKNOWN),
    Line(kind=Kind.POISON, id="broken", shipment="s", at=0, told=Told.OK),
]
A, B = "e:a", "e:b"


def told(id: str, result: Result = Result.ACCEPTED) -> Entry:
    return Entry(at=0, request=1, id=id, to="+7", text_sha256="", result=result)


def counted(*, lost: int = 0, given_up: int = 0, unrecorded: int = 0, told_twice: int = 0, again: int = 0) -> Tally:
    return Tally(
        events=1, owed=2, lost=lost, given_up=given_up, unrecorded=unrecorded, told_twice=told_twice, again=again
    )


@pytest.mark.parametrize(
    ("entries", "rows", "expected"),
    [
        pytest.param([told(A), told(B)], {A: "accepted", B: "accepted"}, counted(), id="whole"),
        pytest.param([], {}, counted(lost=2), id="nothing came of it"),
        pytest.param([told(A, Result.ERROR)], {}, counted(lost=2), id="an attempt that failed tells nobody"),
        pytest.param([told(A)], {A: "accepted", B: "given-up"}, counted(given_up=1), id="a row that says so"),
        pytest.param([told(A), told(B)], {A: "accepted"}, counted(unrecorded=1), id="told, and nobody knows"),
        pytest.param(
            [told(A), told(A, Result.REPEAT), told(A, Result.REPEAT), told(B)],
            {A: "accepted", B: "accepted"},
            counted(told_twice=1, again=2),
            id="what the key saved from is counted",
        ),
    ],
)
def test_a_tally(entries: Sequence[Entry], rows: dict[str, str], expected: Tally) -> None:
    assert tally(LINES, entries, rows) == expected
    assert expected.is_whole == (not expected.lost and not expected.unrecorded)
