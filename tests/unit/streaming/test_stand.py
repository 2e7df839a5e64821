"""Where a partition stands: what is left to do there, and what must move while there is something."""

from typing import Any

import pytest

from streaming.stand import Stand

DONE = Stand(committed=5, finished=5, read=5, end=5, in_flight=False)


@pytest.mark.parametrize(
    ("stand", "has_work", "lag"),
    [
        pytest.param(Stand(0, 0, 0, 0, False), False, 0, id="a partition that was always empty"),
        pytest.param(DONE, False, 0, id="all is committed"),
        pytest.param(DONE._replace(finished=0), False, 0, id="nothing has come since it was taken over"),
        pytest.param(DONE._replace(end=8), True, 3, id="there is more to read"),
        pytest.param(DONE._replace(read=8, end=8, in_flight=True), True, 3, id="in flight"),
        pytest.param(DONE._replace(finished=6, read=8, end=9, in_flight=True), True, 4, id="in all stages"),
        pytest.param(DONE._replace(finished=8, read=8, end=8), True, 3, id="finished, and to be committed"),
        pytest.param(DONE._replace(read=8, end=8), False, 3, id="what is left holds no records"),
        pytest.param(DONE._replace(end=0), False, 0, id="nobody has told the end yet"),
        pytest.param(DONE._replace(finished=8, read=8, end=0), True, 0, id="nobody has told it, and more is finished"),
    ],
)
def test_what_is_left_to_do(stand: Stand, has_work: bool, lag: int) -> None:
    assert (stand.has_work, stand.lag) == (has_work, lag)


@pytest.mark.parametrize(
    ("in_flight", "moved", "is_progress"),
    [
        pytest.param(False, {}, False, id="nothing"),
        pytest.param(False, {"committed": 6}, True, id="committed"),
        pytest.param(False, {"finished": 6}, True, id="finished"),
        pytest.param(False, {"read": 6}, True, id="read"),
        pytest.param(False, {"end": 6}, False, id="new records"),
        pytest.param(True, {}, False, id="nothing of what is in flight"),
        pytest.param(True, {"committed": 6}, True, id="committed, with more in flight"),
        pytest.param(True, {"finished": 6}, True, id="finished, with more in flight"),
        pytest.param(True, {"read": 6}, False, id="read behind a head that stands still"),
        pytest.param(True, {"read": 6, "end": 6}, False, id="new records behind it"),
        pytest.param(False, {"read": 6, "in_flight": True}, True, id="what was read is in flight"),
    ],
)
def test_what_is_progress(in_flight: bool, moved: dict[str, Any], is_progress: bool) -> None:
    before = DONE._replace(in_flight=in_flight)
    assert (before._replace(**moved).progress != before.progress) == is_progress
