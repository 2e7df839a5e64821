"""How do workers go on whatever becomes of them? Started again for ever, in any number; each life of theirs is noted.

Every method blocks for a limited time and may be called from any thread.
"""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli.supervisor import LOOK_EVERY_S, Supervisor, Worker, WorkersFailed, tail
from settings import Role
from tests.chaos.lives import Lives

KILL_TIMEOUT_S = 10.0
END_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 120.0
# A worker that cannot start, for its server is away, is tried again less often, but always.
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 5.0
FAILED_SOON_S = 10.0


class Crew(Supervisor):
    """A Supervisor that never gives up, and can be told to change how many there are.

    ``lives`` tells of every process that there was.
    """

    def __init__(
        self,
        roles: Iterable[Role],
        *,
        environment: Mapping[str, str],
        folder: Path,
        workers_per_role: int,
        command: Sequence[str],
    ) -> None:
        super().__init__(
            roles, environment=environment, folder=folder, workers_per_role=workers_per_role, command=command
        )
        self.lives = Lives()
        self._parked: dict[str, Worker] = {}
        self._held: set[str] = set()
        self._frozen: set[str] = set()
        self._scaling = threading.Lock()
        self._prober = threading.Thread(target=self._probe, name="prober", daemon=True)

    def start(self) -> None:
        super().start()
        self._prober.start()

    def stop(self, timeout_s: float = 45.0) -> list[str]:
        """As the Supervisor's; one that is frozen is thawed first."""
        self._stopping.set()
        for name in tuple(self._frozen):
            self.thaw(name)
        killed = super().stop(timeout_s)
        for worker in self.workers.values():
            if worker.process is not None:
                self.lives.ended(worker.process)
        return killed

    def kill(self, name: str) -> int:
        """SIGKILL; returns the pid when it is gone. It is started again."""
        process = self._process(name)
        process.kill()
        process.wait(KILL_TIMEOUT_S)
        return process.pid

    def terminate(self, name: str, *, timeout_s: float = END_TIMEOUT_S) -> int:
        """SIGTERM; returns the exit code. It is started again. Raises WorkersFailed where it must be killed."""
        process = self._process(name)
        process.send_signal(signal.SIGTERM)
        return self._await_end(name, process, timeout_s)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it is there, and does nothing."""
        self._frozen.add(name)
        self._process(name).send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._process(name).send_signal(signal.SIGCONT)
        self._frozen.discard(name)

    @contextmanager
    def stopped(self, name: str, *, timeout_s: float = END_TIMEOUT_S) -> Iterator[Worker]:
        """Asked to end, and not running within the block; started again after it."""
        with self._lock:
            self._held.add(name)
            process = self._process(name)
        try:
            process.send_signal(signal.SIGTERM)
            self._await_end(name, process, timeout_s)
            yield self.workers[name]
        finally:
            self._held.discard(name)

    def scale(self, role: Role, count: int) -> None:
        """Start or end workers until the role has so many; those with the highest numbers go first.

        One that comes back has the disk that it had, as in a StatefulSet. Raises WorkersFailed where one that goes does
        not end with 0 in time.
        """
        with self._scaling:
            names = sorted((name for name, one in self.workers.items() if one.role is role), key=_number)
            for number in range(len(names), count):
                self._unpark(role, number)
            self._park(names[count:])

    def wait_ready(self, name: str, *, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Until a process of this worker is alive and has been ready; returns how long that took from its start.

        Raises WorkersFailed.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            process, life = self.workers[name].process, self.lives.last(name)
            alive = process is not None and process.poll() is None and life is not None and life.pid == process.pid
            if alive and life is not None and life.ready_s is not None:
                return life.ready_s
            if time.monotonic() > deadline:
                raise WorkersFailed(f"{name} is not ready:\n{tail(self.workers[name].log_path)}")
            time.sleep(LOOK_EVERY_S)

    def _start(self, worker: Worker) -> None:
        super()._start(worker)
        assert worker.process is not None, "just started"
        self._frozen.discard(worker.name)
        self.lives.began(worker.name, worker.role, worker.process)

    def _shall_start_again(self, worker: Worker, ended: subprocess.Popen[bytes]) -> bool:
        self.lives.ended(ended)
        life = self.lives.last(worker.name)
        if worker.name in self._held or life is None or life.ended_at is None:
            return False
        failed_soon = ended.returncode > 0 and life.ended_at - life.started_at < FAILED_SOON_S
        delay_s = min(FIRST_DELAY_S * 2**worker.ended_early, LONGEST_DELAY_S)
        if time.time() < life.ended_at + delay_s:
            return False
        worker.ended_early = worker.ended_early + 1 if failed_soon else 0
        return True

    def _process(self, name: str) -> subprocess.Popen[bytes]:
        process = self.workers[name].process
        assert process is not None, "not started"
        return process

    def _await_end(self, name: str, process: subprocess.Popen[bytes], timeout_s: float) -> int:
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            end = tail(self.workers[name].log_path)
            raise WorkersFailed(f"{name} did not end within {timeout_s:.0f} s:\n{end}") from None

    def _unpark(self, role: Role, number: int) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            name = role.value if number == 0 else f"{role.value}-{number + 1}"
            if worker := self._parked.pop(name, None):
                self.workers[name] = worker
            else:
                worker = self._add(role, number)
            self._held.discard(name)
            self._start(worker)

    def _park(self, names: list[str]) -> None:
        with self._lock:
            self._held.update(names)
            going = {name: self._process(name) for name in names}
        # One that has just been killed, and not been started again, is gone as it is.
        asked = {name for name, process in going.items() if process.poll() is None}
        for process in going.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: self._await_end(name, process, END_TIMEOUT_S) for name, process in going.items()}
        with self._lock:
            for name, process in going.items():
                self.lives.ended(process)
                self._parked[name] = self.workers.pop(name)
        if wrong := {name: codes[name] for name in asked if codes[name] != 0}:
            raise WorkersFailed(f"asked to leave, some ended otherwise: {wrong}")

    def _probe(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            for worker in tuple(self.workers.values()):
                process, life = worker.process, self.lives.last(worker.name)
                if process is None or life is None or life.ready_s is not None or life.pid != process.pid:
                    continue
                if worker.name not in self._frozen and process.poll() is None and self.is_ready(worker):
                    self.lives.is_ready(process.pid)


def _number(name: str) -> int:
    """The first has none."""
    found = re.search(r"-(\d+)$", name)
    return int(found[1]) if found else 1
