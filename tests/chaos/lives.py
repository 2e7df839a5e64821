"""What has become of the workers so far? One record for each process: from its start, through readiness, to its end."""

import subprocess
import threading
import time
from dataclasses import dataclass, replace

from settings import Role


@dataclass(slots=True, kw_only=True)
class Life:
    """Times in epoch seconds, to about a tenth of one; ``ready_s`` from the start until it said so for the first time.

    ``exit_code`` as `subprocess` has it: minus the signal where one ended it.
    """

    worker: str
    role: Role
    pid: int
    started_at: float
    ready_s: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None


class Lives:
    """Safe between threads; what is asked for is a copy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lives: list[Life] = []

    def all(self, worker: str | None = None) -> list[Life]:
        """In the order of their starts."""
        with self._lock:
            return [replace(life) for life in self._lives if worker in (None, life.worker)]

    def last(self, worker: str) -> Life | None:
        found = self.all(worker)
        return found[-1] if found else None

    def began(self, worker: str, role: Role, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._lives.append(Life(worker=worker, role=role, pid=process.pid, started_at=time.time()))

    def is_ready(self, pid: int) -> None:
        """Now; only the first time counts."""
        with self._lock:
            life = self._of(pid)
            if life.ready_s is None:
                life.ready_s = time.time() - life.started_at

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """Noted when it is first seen."""
        with self._lock:
            life = self._of(process.pid)
            if life.ended_at is None:
                life.ended_at, life.exit_code = time.time(), process.returncode

    def _of(self, pid: int) -> Life:
        """The latest, should a pid come round again."""
        return next(life for life in reversed(self._lives) if life.pid == pid)
