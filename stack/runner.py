"""How is one server of the stack brought up, and taken down again?"""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stack import processes
from stack.endpoints import StackError
from stack.processes import ProcessId
from stack.servers import Launch, NotReady, OnStep, Server, data_folder

_POLL_S = 0.05
_CHECK_TIMEOUT_S = 5.0
_SETUP_TIMEOUT_S = 120.0
_READY_TIMEOUT_S = 60.0

OnProcess = Callable[[ProcessId | None], None]
"""Told of a server's process as soon as there is one, and of None when there is none any more."""


class Runner:
    """One server in its folder. Blocking; used by one thread at a time, except that anyone may set ``cancelled``."""

    def __init__(self, server: Server, folder: Path, cancelled: threading.Event) -> None:
        self.server = server
        self.log = folder / "server.log"
        self._folder = folder
        self._cancelled = cancelled

    def start(self, ports: tuple[int, ...], on_step: OnStep, on_process: OnProcess) -> str:
        """Set up if need be, start, wait until it answers; returns the launch's note. StackError says what went wrong.

        Whatever was started is in ``on_process`` when this raises: the caller stops it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        launch = self.server.launch(self._folder, ports, on_step, self._cancelled)
        self._set_up(launch, on_step, on_process)
        on_step("starting")
        _, process = self._spawn(launch.command, on_process)
        self.wait_until_ready(process, self.server.address(ports))
        return launch.note

    def wait_until_ready(self, process: ProcessId, address: str) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            if process.find() is None:
                raise self._failure("ended before it answered")
            try:
                self.server.check(address, _CHECK_TIMEOUT_S)
            except NotReady as error:
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {_READY_TIMEOUT_S:.0f} s ({error})") from error
            else:
                return
            self._pause()

    def stop(self, process: ProcessId) -> None:
        processes.terminate(process, self.server.stop_signal, timeout_s=self.server.stop_timeout_s)

    def kill(self, process: ProcessId) -> None:
        processes.kill(process)

    def _set_up(self, launch: Launch, on_step: OnStep, on_process: OnProcess) -> None:
        """Once per folder; what an earlier one left half done is removed first."""
        whole = self._folder / "set-up"
        if whole.exists():
            return
        shutil.rmtree(data_folder(self._folder), ignore_errors=True)
        for command in launch.setup:
            on_step("setting up")
            self._wait_for_end(self._spawn(command, on_process)[0])
            on_process(None)
        data_folder(self._folder).mkdir(exist_ok=True)
        whole.touch()

    def _wait_for_end(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _SETUP_TIMEOUT_S
        while child.poll() is None:
            if time.monotonic() > deadline:
                raise self._failure(f"took more than {_SETUP_TIMEOUT_S:.0f} s to set up")
            self._pause()
        if child.returncode != 0:
            raise self._failure(f"could not be set up (exit code {child.returncode})")

    def _spawn(self, command: Sequence[str | Path], on_process: OnProcess) -> tuple[subprocess.Popen[bytes], ProcessId]:
        child, process = processes.spawn(command, log=self.log)
        on_process(process)
        return child, process

    def _pause(self) -> None:
        if self._cancelled.wait(_POLL_S):
            raise StackError("the start was broken off")

    def _failure(self, what: str) -> StackError:
        return StackError(f"{self.server.name} {what}; its log, {self.log}, ends:\n{processes.tail(self.log)}")
