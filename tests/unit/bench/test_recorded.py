from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import recorded, report

OLD = {"ratio": 2.0, "cpu_ratio": 0.5}


@pytest.mark.parametrize(
    ("new", "sentences"),
    [
        (OLD, 0),
        ({"ratio": 1.71, "cpu_ratio": 0.57}, 0),  # within the tolerance
        ({"ratio": 1.69, "cpu_ratio": 0.5}, 1),
        ({"ratio": 2.0, "cpu_ratio": 0.58}, 1),
        ({"ratio": 1.0, "cpu_ratio": 1.0}, 3),  # and less than it may ever be
        ({"ratio": 3.0, "cpu_ratio": 0.1}, 0),  # better is never worse
    ],
)
def test_only_what_is_worse_by_more_than_the_tolerance_counts(new: dict[str, float], sentences: int) -> None:
    assert len(recorded.regressions(OLD, new)) == sentences


def test_where_nothing_is_recorded_the_least_ratio_counts() -> None:
    assert not recorded.regressions(None, {"ratio": 1.3, "cpu_ratio": 2.0})
    assert len(recorded.regressions(None, {"ratio": 1.29, "cpu_ratio": 0.1})) == 1


@pytest.mark.parametrize(
    ("ratio", "fails", "fails_to_record"), [(1.8, False, False), (1.5, True, False), (1.2, True, True)]
)
def test_what_is_recorded_may_be_slower_than_before_but_not_in_silence(
    ratio: float, fails: bool, fails_to_record: bool
) -> None:
    old = {**dict.fromkeys(report.COMPARED, 1.0), **OLD, **recorded.machine()}
    new = {**old, "ratio": ratio}
    for record, expected in ((False, fails), (True, fails_to_record)):
        out = Console(file=StringIO(), width=report.WIDTH)
        assert report.print_regressions(out, old, new, record=record) is expected
        assert ("fell from 2.00" in out.file.getvalue()) is fails  # type: ignore[attr-defined]


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    recorded.write("compare", OLD, path)
    recorded.write("idle", {"p50": 0.1}, path)
    found = recorded.read("compare", path)
    assert found is not None
    assert found.items() >= OLD.items()
    assert found.keys() >= {"commit", "cores", "python", "recorded_on"}


def test_nothing_recorded_is_nothing(tmp_path: Path) -> None:
    assert recorded.read("compare", tmp_path / "performance.json") is None
