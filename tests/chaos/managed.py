"""How is a single server of `stack` started and hurt, apart from a stack?"""

import threading
from pathlib import Path

from stack.processes import ProcessId
from stack.runner import Runner
from stack.servers import Server


class Managed:
    """``server`` in ``folder``, on the same ports for as long as this object lives. Blocking; safe between threads."""

    def __init__(self, server: Server, folder: Path, ports: tuple[int, ...]) -> None:
        self._runner = Runner(server, folder, threading.Event())
        self._ports = ports
        self._lock = threading.Lock()
        self._process: ProcessId | None = None
        self.address = server.address(ports)

    @property
    def is_running(self) -> bool:
        process = self._process
        return process is not None and process.find() is not None

    def start(self) -> None:
        """With its data, if it ran before; returns when it answers. Nothing happens when it runs. Raises StackError."""
        with self._lock:
            if self.is_running:
                return
            try:
                self._runner.start(self._ports, lambda *_: None, self._remember)
            except BaseException:
                self._kill()
                raise

    def stop(self) -> None:
        """As an operator does, within the server's own time limit, then by force."""
        with self._lock:
            if self._process is not None:
                self._runner.stop(self._process)
                self._process = None

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        with self._lock:
            self._kill()

    def restart(self) -> None:
        """SIGKILL, and back at once."""
        self.kill()
        self.start()

    def _kill(self) -> None:
        if self._process is not None:
            self._runner.kill(self._process)
            self._process = None

    def _remember(self, process: ProcessId | None) -> None:
        self._process = process
