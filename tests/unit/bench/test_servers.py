from pathlib import Path

import click
import pytest

from tests.bench.servers import _alone, bench_servers


def test_two_benchmarks_do_not_measure_each_other(tmp_path: Path) -> None:
    with (
        _alone(tmp_path / "lock"),
        pytest.raises(click.ClickException, match="another benchmark"),
        bench_servers(tmp_path / "stack"),
    ):
        raise AssertionError("it started")
    with _alone(tmp_path / "lock"):
        pass
