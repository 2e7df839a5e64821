"""Starts and ends of whole stacks: nothing stays behind, nothing is fetched twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack import Endpoints, Progress, ServerName, Stack, StackError, running_stack
from stack.postgres import execute

UP = """
import signal, sys
from pathlib import Path
from stack import running_stack
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
with running_stack(Path(sys.argv[1]), on_progress=lambda progress: print(progress, flush=True)):
    print("all up", flush=True)
    signal.pause()
"""
START_TIMEOUT_S = 60
SECOND_START_S = 30


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    Stack(tmp_path / "home").down()


@pytest.fixture
def others(stack_endpoints: Endpoints) -> dict[ServerName, str]:
    """The session's Kafka and Redis, for a stack with a PostgreSQL of its own: that one starts in a second."""
    return {name: getattr(stack_endpoints, name) for name in (ServerName.KAFKA, ServerName.REDIS)}


def processes_of(home: Path) -> list[psutil.Process]:
    """Found by the operating system's account, not by ours."""
    return [one for one in psutil.process_iter(["cmdline"]) if str(home) in " ".join(one.info["cmdline"] or ())]


def test_up_down_and_up_again(home: Path) -> None:
    first = Stack(home).up()
    assert processes_of(home)
    Stack(home).down()
    assert processes_of(home) == []

    said: list[Progress] = []
    began = time.monotonic()
    second = Stack(home, on_progress=said.append).up()

    assert time.monotonic() - began < SECOND_START_S
    assert second == first
    assert {one.server for one in said if one.done} == set(ServerName)
    assert {one.step for one in said} == {"starting", "ready"}, "neither fetched nor set up again"

    before = {one.pid for one in processes_of(home)}
    Stack(home).up()
    assert {one.pid for one in processes_of(home)} == before, "what runs is left alone"

    Stack(home).down(wipe=True)
    assert not home.exists()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("kafka    setting up", signal.SIGTERM),
        ("kafka    starting", signal.SIGINT),
        ("all up", signal.SIGTERM),
    ],
)
def test_a_signal_leaves_no_process_behind(home: Path, number: signal.Signals, moment: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", UP, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as child:
        assert child.stdout is not None
        assert any(line.startswith(moment) for line in child.stdout)
        child.send_signal(number)
        assert child.wait(START_TIMEOUT_S) != 0

    assert processes_of(home) == []


def test_an_error_in_the_midst_stops_everything(home: Path, others: dict[ServerName, str]) -> None:
    with pytest.raises(ZeroDivisionError), running_stack(home, given=others):
        assert processes_of(home)
        raise ZeroDivisionError

    assert processes_of(home) == []


def test_given_servers_are_used_and_not_stopped(home: Path, stack: Stack, stack_endpoints: Endpoints) -> None:
    given = {name: getattr(stack_endpoints, name) for name in ServerName}

    with running_stack(home, given=given) as endpoints:
        assert endpoints == stack_endpoints
        assert processes_of(home) == []

    assert all(one.problem is None for one in stack.status())


def test_a_given_server_that_is_missing_takes_the_others_along(home: Path, others: dict[ServerName, str]) -> None:
    with pytest.raises(StackError, match=r"HERALD_REDIS names 127\.0\.0\.1:1, which does not answer"):
        Stack(home, given=others | {ServerName.REDIS: "redis://127.0.0.1:1/0"}).up()

    assert processes_of(home) == []


def test_a_server_that_cannot_start_shows_its_log(home: Path, others: dict[ServerName, str]) -> None:
    with running_stack(home, given=others):
        pass
    (home / "postgres" / "data" / "PG_VERSION").write_text("9.1\n")

    with pytest.raises(StackError, match=r"(?s)postgres ended before it answered; its log, .*not compatible"):
        Stack(home, given=others).up()

    assert processes_of(home) == []


def test_a_set_up_that_was_broken_off_is_done_again(home: Path, others: dict[ServerName, str]) -> None:
    half = home / "postgres" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("")

    with running_stack(home, given=others) as endpoints:
        execute(endpoints.postgres, "SELECT 1")
