"""How is a server process started, recognised later, and ended?

A process is known by its pid and the time it started: a pid alone may belong to somebody else by the time it is killed.
"""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_KILL_TIMEOUT_S = 10.0
# The clock that start times are counted from may be set in between; no pid comes round again this fast.
_START_TIME_TOLERANCE_S = 2.0
_TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024

# Nothing is inherited: a JAVA_TOOL_OPTIONS, PGDATA or LIQUIBASE_* of the developer's must not change what runs here.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

# A server outlives the Stack that started it, while a Popen that is collected before its process was seen to end takes
# that for a leak: so they are kept here.
_STARTED: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, kw_only=True)
class ProcessId:
    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """The process, if it still runs: neither gone, nor a zombie, nor another one under a pid used again."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _START_TIME_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def spawn(command: Sequence[str | Path], *, log: Path) -> tuple[subprocess.Popen[bytes], ProcessId]:
    """Start in a session of its own, so that the terminal's Ctrl-C does not reach it; both outputs go to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    _reap()
    _STARTED.append(child)
    try:
        started = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:
        started = 0.0  # it ended at once and was reaped: matches nothing, which is the truth
    return child, ProcessId(pid=child.pid, started=started)


def terminate(process: ProcessId, how: signal.Signals, *, timeout_s: float) -> None:
    """Ask with the signal ``how``, wait up to ``timeout_s``, then kill; returns when it and its children are gone."""
    found = process.find()
    if found is None:
        return
    family = [found, *_children(found)]
    with suppress(psutil.NoSuchProcess):
        found.send_signal(how)
    _, left = psutil.wait_procs(family, timeout=timeout_s)
    _kill_all(left)


def kill(process: ProcessId) -> None:
    """SIGKILL to the process alone, as a crash would be; its children are given time to notice, then killed too."""
    found = process.find()
    if found is None:
        return
    family = [found, *_children(found)]
    with suppress(psutil.NoSuchProcess):
        found.kill()
    _, left = psutil.wait_procs(family, timeout=_KILL_TIMEOUT_S)
    _kill_all(left)


def tail(log: Path) -> str:
    """The last lines of a server's log, for an error message."""
    if not log.exists():
        return "(it wrote no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:]) or "(its log is empty)"


def _reap() -> None:
    for child in tuple(_STARTED):
        if child.poll() is not None:
            with suppress(ValueError):  # another thread was here first
                _STARTED.remove(child)


def _children(process: psutil.Process) -> list[psutil.Process]:
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
    return children


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_KILL_TIMEOUT_S)
    _reap()
