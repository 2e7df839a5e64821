"""Who keeps the plain application running? A process for each worker, started again as a cluster does."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "faust", "-A", "tests.chaos.plain.app", "worker", "-l", "info", "--without-web")
LOOK_EVERY_S = 0.2
START_AGAIN_AFTER_S = 1.0
TERMINATE_TIMEOUT_S = 30.0
KILL_TIMEOUT_S = 5.0


class Workers:
    """``count`` of them, each with a log and tables of its own in ``folder``. Methods block, and are for one thread."""

    def __init__(self, count: int, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        # Those that ended though nobody had asked them to, and those that did not end when they were asked to.
        self.crashes = 0
        self.hung = 0

    def start(self) -> None:
        for number in range(len(self._processes)):
            self._start(number)
        self._keeper.start()

    def stop(self) -> None:
        self._stopping.set()
        self._keeper.join()
        for process in self._processes:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(KILL_TIMEOUT_S)

    def kill(self, number: int) -> None:
        """SIGKILL, and started again."""
        with self._lock:
            process = self._running(number)
            process.kill()
            process.wait(KILL_TIMEOUT_S)
            self._start(number)

    def restart(self, number: int) -> None:
        """SIGTERM, and SIGKILL where that is not heard in time; started again."""
        with self._lock:
            process = self._running(number)
            process.terminate()
            try:
                process.wait(TERMINATE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.hung += 1
                process.kill()
                process.wait(KILL_TIMEOUT_S)
            self._start(number)

    def restart_all(self) -> None:
        for number in range(len(self._processes)):
            self.restart(number)

    def freeze(self, number: int) -> None:
        self._running(number).send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        self._running(number).send_signal(signal.SIGCONT)

    def _running(self, number: int) -> subprocess.Popen[bytes]:
        process = self._processes[number]
        assert process is not None, "not started"
        return process

    def _start(self, number: int) -> None:
        data = self._folder / f"worker-{number}"
        data.mkdir(exist_ok=True)
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                COMMAND,
                cwd=ROOT,
                env={**self._environment, "PLAIN_DATA_DIR": str(data)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            with self._lock:
                ended = [
                    number for number, one in enumerate(self._processes) if one is not None and one.poll() is not None
                ]
            if not ended or self._stopping.wait(START_AGAIN_AFTER_S):
                continue
            with self._lock:
                for number in ended:
                    # Somebody else may have started it in the meantime.
                    if self._running(number).poll() is not None:
                        self.crashes += 1
                        self._start(number)
