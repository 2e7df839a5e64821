import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stack import processes
from stack.processes import ProcessId

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "server.log"


def spawn(code: str, log: Path) -> tuple[subprocess.Popen[bytes], ProcessId]:
    return processes.spawn([sys.executable, "-u", "-c", code], log=log)


def wait_for_output(log: Path, child: subprocess.Popen[bytes]) -> str:
    while not (text := log.read_text()).endswith("\n"):
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.02)
    return text


def test_a_process_that_ignores_the_request_is_killed(log: Path) -> None:
    child, process = spawn(STUBBORN, log)
    wait_for_output(log, child)

    processes.terminate(process, signal.SIGTERM, timeout_s=0.2)

    assert process.find() is None
    assert child.wait(5) is not None


def test_its_children_go_with_it(log: Path) -> None:
    child, process = spawn(PARENT, log)
    grandchild = psutil.Process(int(wait_for_output(log, child)))

    processes.terminate(process, signal.SIGTERM, timeout_s=0.2)

    assert not grandchild.is_running()
    child.wait(5)


def test_a_reused_pid_is_left_alone(log: Path) -> None:
    child, process = spawn("import time; time.sleep(60)", log)
    someone_else = ProcessId(pid=process.pid, started=process.started - 60)

    processes.terminate(someone_else, signal.SIGTERM, timeout_s=0.2)
    processes.kill(someone_else)

    assert child.poll() is None
    processes.kill(process)
    child.wait(5)


def test_a_zombie_does_not_count_as_running(log: Path) -> None:
    child, process = spawn("pass", log)
    psutil.Process(child.pid).wait(5) if psutil.pid_exists(child.pid) else None

    assert process.find() is None
    child.wait(5)


def test_nothing_of_our_environment_is_inherited(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")
    child, _ = spawn("import os; print(sorted(os.environ))", log)
    child.wait(10)

    assert "PGDATA" not in log.read_text()


def test_the_tail_is_the_end_of_a_long_log(log: Path) -> None:
    log.parent.mkdir()
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))

    lines = processes.tail(log).splitlines()

    assert lines[-1] == "line 99999"
    assert len(lines) == 20


@pytest.mark.parametrize("text", [None, ""], ids=["no log", "empty log"])
def test_a_server_that_said_nothing_has_a_tail_too(log: Path, text: str | None) -> None:
    if text is not None:
        log.parent.mkdir()
        log.write_text(text)

    assert processes.tail(log).startswith("(")
