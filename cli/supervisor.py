"""How do all roles run on one machine? A process each, started again when it ends unasked."""

import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli import workers_file
from cli.worker import worker_command
from cli.workers_file import WorkerEntry
from settings import Role
from stack.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
RESTARTS_PER_ROLE = 20
# A worker that ends as soon as it has started will do so again.
EARLY_S = 15.0
EARLY_ENDS = 3
LOOK_EVERY_S = 0.1
ASK_TIMEOUT_S = 2.0

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class WorkersFailed(Exception):
    """A worker did not become ready, or ended too often; says which, and the end of its log."""


@dataclass(slots=True)
class Worker:
    """``name`` is the role, with a number behind it where a role has several workers; what stands in its log before
    ``log_begins`` is of another supervisor's.
    """

    name: str
    role: Role
    http_port: int
    log_path: Path
    data_dir: Path
    log_begins: int = 0
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    started_at: float = 0.0
    ended_early: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


class Supervisor:
    """``environment`` is what every worker gets beside its own role, port and folder; logs go into ``folder``, and so
    does, while they run, what `herald doctor` needs to find them. ``command`` starts a worker.
    """

    def __init__(
        self,
        roles: Iterable[Role],
        *,
        environment: Mapping[str, str],
        folder: Path,
        workers_per_role: int = 1,
        command: Sequence[str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._folder = folder
        self._command = list(command or worker_command())
        self.workers: dict[str, Worker] = {}
        for role in roles:
            for number in range(workers_per_role):
                self._add(role, number)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.failure: str | None = None

    def _add(self, role: Role, number: int) -> Worker:
        name = role.value if number == 0 else f"{role.value}-{number + 1}"
        (port,) = free_ports(1)
        log = self._folder / f"{name}.log"
        begins = log.stat().st_size if log.exists() else 0
        worker = Worker(name, role, port, log, self._folder / "data" / name, begins)
        self.workers[name] = worker
        return worker

    def start(self) -> None:
        with self._lock:
            for worker in self.workers.values():
                self._start(worker)
            self._write_down()
        self._watcher.start()

    def _write_down(self) -> None:
        workers = self.workers.values()
        workers_file.write(
            self._folder, (WorkerEntry(one.name, one.url, str(one.data_dir), one.pid) for one in workers)
        )

    def _start(self, worker: Worker) -> None:
        environment = {
            **self._environment,
            "HERALD_ROLE": worker.role.value,
            # Static membership: a worker that is started again takes its partitions back without a rebalance.
            "HERALD_INSTANCE_ID": worker.name,
            "HERALD_HTTP_PORT": str(worker.http_port),
            "HERALD_DATA_DIR": str(worker.data_dir),
        }
        with worker.log_path.open("ab") as log:
            worker.process = subprocess.Popen(
                self._command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        worker.starts += 1
        worker.started_at = time.monotonic()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Raises WorkersFailed."""
        deadline = time.monotonic() + timeout_s
        for worker in tuple(self.workers.values()):
            while not self.is_ready(worker):
                if self.failure or time.monotonic() > deadline:
                    raise WorkersFailed(self.failure or f"{worker.name} is not ready:\n{tail(worker.log_path)}")
                time.sleep(LOOK_EVERY_S)

    def is_ready(self, worker: Worker) -> bool:
        try:
            with DIRECT.open(f"{worker.url}/health/ready", timeout=ASK_TIMEOUT_S):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self, name: str) -> int:
        """SIGKILL; it is started again like one that ended by itself. Returns the pid that was killed."""
        process = self.workers[name].process
        assert process is not None, "not started"
        process.kill()
        return process.pid

    def restarts(self) -> dict[str, int]:
        """How often each worker was started again."""
        return {name: worker.starts - 1 for name, worker in self.workers.items()}

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            for worker in tuple(self.workers.values()):
                with self._lock:
                    if self._stopping.is_set() or worker.process is None or worker.process.poll() is None:
                        continue
                    if self._shall_start_again(worker, worker.process):
                        try:
                            self._start(worker)
                            self._write_down()
                        except OSError as error:  # no process to be had, no command any more, or no disk
                            self.failure = f"{worker.name} cannot be started again: {error}"
                if self.failure is not None:
                    return

    def _shall_start_again(self, worker: Worker, ended: subprocess.Popen[bytes]) -> bool:
        """Asked again and again while a worker is down; a ``failure`` that this sets ends the watch."""
        early = ended.returncode > 0 and time.monotonic() - worker.started_at < EARLY_S
        worker.ended_early = worker.ended_early + 1 if early else 0
        if worker.starts > RESTARTS_PER_ROLE or worker.ended_early >= EARLY_ENDS:
            self.failure = f"{worker.name} ended {worker.starts} times:\n{tail(worker.log_path)}"
            return False
        return True

    def stop(self, timeout_s: float = 45.0) -> list[str]:
        """SIGTERM to all, SIGKILL to what is left after the timeout; returns the names of those."""
        self._stopping.set()
        with self._lock:
            workers_file.remove(self._folder)
            running = {name: one.process for name, one in self.workers.items() if one.process is not None}
        for process in running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        killed = []
        for name, process in running.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed.append(name)
        return killed


def tail(path: Path, characters: int = 3_000) -> str:
    return path.read_text(errors="replace")[-characters:]
