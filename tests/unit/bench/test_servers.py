from pathlib import Path

import click
import pytest

from stack import Stack
from stack.lockfile import alone
from tests.bench import servers
from tests.bench.servers import bench_servers


def test_two_benchmarks_do_not_measure_each_other(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "lock", "another benchmark"),
        pytest.raises(click.ClickException, match="another benchmark"),
        bench_servers(tmp_path / "stack"),
    ):
        raise AssertionError("it started")
    with alone(tmp_path / "lock", "another benchmark"):
        pass


def test_the_servers_that_are_emptied_are_never_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    class Started(Exception): ...

    class Noted(Stack):
        def __init__(self, home: Path, **more: object) -> None:
            given.append(more)
            raise Started

    monkeypatch.setattr(servers, "Stack", Noted)
    for name in ("KAFKA", "POSTGRES", "REDIS"):
        monkeypatch.setenv(f"HERALD_{name}", "somebody-elses")
    with pytest.raises(Started), bench_servers(tmp_path / "stack"):
        raise AssertionError("it started")
    assert given == [{}]
