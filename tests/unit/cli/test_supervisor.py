"""A worker that ends is started again, whatever ended it; one that cannot start is given up, with its last words."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from cli import supervisor as module
from cli import workers_file
from cli.supervisor import EARLY_ENDS, RESTARTS_PER_ROLE, Supervisor
from settings import Role

# Ends as it is told for each of its lives, of which it keeps count in a folder; out of words, it stays.
WORKER = """
import os, sys, time
folder, *ends = sys.argv[1:]
with open(os.path.join(folder, os.environ["HERALD_INSTANCE_ID"]), "ab") as lives:
    lives.write(b".")
    life = lives.tell()
print("x" * 5_000, f"the last words of life {life}", flush=True)
if life > len(ends):
    time.sleep(60)
elif int(ends[life - 1]) < 0:
    os.kill(os.getpid(), -int(ends[life - 1]))
sys.exit(int(ends[life - 1]))
"""
# Only the role that is named does; the others stay.
ONE_OF_MANY = f"""
import os, time
if os.environ["HERALD_ROLE"] != "{Role.SINK}":
    time.sleep(60)
{WORKER}"""

DEADLINE_S = 60.0

Supervise = Callable[..., Supervisor]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Start workers that end so, life by life; whatever a test says of them, they are stopped."""
    started: list[Supervisor] = []

    def start(*ends: int, roles: Sequence[Role] = (Role.SINK,), code: str = WORKER) -> Supervisor:
        command = [sys.executable, "-c", code, str(tmp_path), *map(str, ends)]
        supervisor = Supervisor(roles, environment={}, folder=tmp_path / "run", command=command)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop(10.0)


def eventually(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.02)


def stays(supervisor: Supervisor, lives: int) -> bool:
    """Whether its worker has told of so many lives, and goes on in the last."""
    worker = supervisor.workers[Role.SINK]
    last = f"the last words of life {lives}\n"
    return supervisor.failure is not None or (worker.starts == lives and worker.log_path.read_text().endswith(last))


def test_a_worker_that_cannot_start_is_given_up_with_the_end_of_its_log(supervise: Supervise) -> None:
    supervisor = supervise(*[1] * 10)
    eventually(lambda: supervisor.failure, "the worker is given up")
    failure = supervisor.failure or ""
    assert failure.startswith(f"sink ended {EARLY_ENDS} times:\n")
    assert failure.endswith(f"the last words of life {EARLY_ENDS}\n")
    assert len(failure) < 5_000, "the end alone"
    assert "life 2" not in failure


def test_the_worker_that_failed_is_named_and_the_others_go_on(supervise: Supervise) -> None:
    supervisor = supervise(*[1] * 10, roles=(Role.ENRICH, Role.SINK, Role.API), code=ONE_OF_MANY)
    eventually(lambda: supervisor.failure, "one is given up")
    assert (supervisor.failure or "").startswith("sink ended")
    assert supervisor.restarts() == {"enrich": 0, "sink": EARLY_ENDS - 1, "api": 0}
    others = [supervisor.workers[name].process for name in ("enrich", "api")]
    assert all(other is not None and other.poll() is None for other in others)


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([0] * EARLY_ENDS, id="asked to, or done"),
        pytest.param([-9] * EARLY_ENDS, id="killed"),
        pytest.param([-15] * EARLY_ENDS, id="told to end"),
        pytest.param([1] * (EARLY_ENDS - 1), id="failed at once, but not too often"),
        pytest.param([1, 1, 0, 1, 1], id="failed at once, but not in a row"),
    ],
)
def test_a_worker_that_ends_is_started_again(supervise: Supervise, ends: list[int]) -> None:
    supervisor = supervise(*ends)
    lives = len(ends) + 1
    eventually(lambda: stays(supervisor, lives), f"life {lives}")
    assert supervisor.failure is None
    assert supervisor.restarts() == {"sink": len(ends)}


def test_a_worker_that_fails_when_it_has_run_for_a_while_is_started_again(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EARLY_S", 0.0)
    supervisor = supervise(*[1] * (EARLY_ENDS + 1))
    eventually(lambda: stays(supervisor, EARLY_ENDS + 2), "one life more than there may be early ends")
    assert supervisor.failure is None


@pytest.mark.parametrize("end", [0, -9], ids=["done", "killed"])
def test_a_worker_is_not_started_again_for_ever(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    supervisor = supervise(*[end] * 100)
    eventually(lambda: supervisor.failure, "the worker is given up")
    assert (supervisor.failure or "").startswith(f"sink ended {RESTARTS_PER_ROLE + 1} times:\n")


def test_the_pid_that_was_killed_is_told_and_another_takes_its_place(supervise: Supervise) -> None:
    supervisor = supervise()
    eventually(lambda: stays(supervisor, 1), "the worker runs")
    pid = supervisor.kill(Role.SINK)
    eventually(lambda: stays(supervisor, 2), "another life")
    assert not psutil.pid_exists(pid)
    assert supervisor.restarts() == {"sink": 1}


def test_doctor_finds_the_pid_of_each_life(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise()
    (first,) = workers_file.read(tmp_path / "run")
    assert first.pid == supervisor.kill(Role.SINK)
    eventually(lambda: workers_file.read(tmp_path / "run")[0].pid != first.pid, "another pid")
    assert workers_file.read(tmp_path / "run")[0].pid == supervisor.workers[Role.SINK].pid


def test_what_was_stopped_is_not_started_again(supervise: Supervise) -> None:
    supervisor = supervise()
    eventually(lambda: stays(supervisor, 1), "the worker runs")
    assert supervisor.stop(10.0) == [], "none had to be killed"
    supervisor._watcher.join(10.0)
    assert not supervisor._watcher.is_alive()
    assert supervisor.restarts() == {"sink": 0}


def test_a_worker_that_cannot_be_started_again_is_told(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = supervise()
    eventually(lambda: stays(supervisor, 1), "the worker runs")

    def no_process(*args: object, **kwargs: object) -> None:
        raise BlockingIOError("no process to be had")

    monkeypatch.setattr(module.subprocess, "Popen", no_process)
    supervisor.kill(Role.SINK)
    eventually(lambda: supervisor.failure, "the worker is given up")
    assert supervisor.failure == "sink cannot be started again: no process to be had"
