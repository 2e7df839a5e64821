"""The three servers as one: up, down, status, and single ones killed and restarted."""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import given as given_servers
from stack.endpoints import Endpoints, ServerName, StackError
from stack.kafka import Kafka
from stack.lockfile import exclusive
from stack.ports import free_ports, is_free
from stack.postgres import Postgres
from stack.processes import ProcessId
from stack.progress import OnProgress, Progress, silent
from stack.runner import Runner
from stack.servers import NotReady, Server
from stack.signals import interruptible, uninterrupted
from stack.state import ServerState, StateFile
from stack.valkey import Valkey

_STATUS_TIMEOUT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """``pid`` is None for a server that is given or does not run; ``problem`` is None when it answers."""

    server: ServerName
    address: str | None
    pid: int | None
    problem: str | None


class Stack:
    """``home`` holds data, logs and the state file; ``given`` names servers to use instead of starting our own.

    Every method blocks. Those that change something exclude each other, also between processes.
    """

    def __init__(
        self, home: Path, *, given: Mapping[ServerName, str] | None = None, on_progress: OnProgress = silent
    ) -> None:
        self._home = home.absolute()
        self._given = dict(given or {})
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._state = StateFile(self._home / "state.json")
        self._cancelled = threading.Event()
        self._servers: dict[ServerName, Server] = {one.name: one for one in (Kafka(), Postgres(), Valkey())}
        self._runners = {
            name: Runner(server, self._home / name, self._cancelled) for name, server in self._servers.items()
        }

    def up(self) -> Endpoints:
        """Start what does not run, all at once; check what is given. When one fails, what this call started is stopped.

        The same when a signal's exception interrupts it. Raises StackError.
        """
        with interruptible(), self._exclusive(), ThreadPoolExecutor(len(self._servers)) as pool:
            self._cancelled.clear()
            self._choose_ports()
            started = [name for name in self._servers if self._process(name) is None]
            try:
                starts = {name: pool.submit(self._start, name) for name in self._servers}
                done, _ = wait(starts.values(), return_when=FIRST_EXCEPTION)
                for start in done:
                    start.result()
                return Endpoints(**{name: start.result() for name, start in starts.items()})
            except BaseException:
                with uninterrupted():
                    self._cancelled.set()
                    pool.shutdown(wait=True)
                    self._stop(started)
                raise

    def down(self, *, wipe: bool = False) -> None:
        """Stop what runs, each within its own time, then by force; with ``wipe`` the data and logs go too."""
        with uninterrupted(), self._exclusive():
            self._stop(self._servers)
            if wipe:
                shutil.rmtree(self._home)

    @contextmanager
    def running(self) -> Iterator[Endpoints]:
        """Up, and down at the end however it comes: also on Ctrl-C and, in the main thread, on SIGTERM."""
        with interruptible():
            try:
                yield self.up()
            finally:
                self.down()

    def status(self) -> list[Status]:
        return [self._status(name) for name in self._servers]

    def kill(self, name: ServerName) -> None:
        """SIGKILL: the server gets no chance to tidy up. Nothing happens when it does not run."""
        with self._exclusive():
            if process := self._process(name):
                self._runners[name].kill(process)
                self._remember(name, None)

    def restart(self, name: ServerName) -> None:
        """Start a server that does not run, with its data and on its ports; returns when it answers."""
        if name in self._given or name not in self._state.read():
            raise StackError(f"{name} is not one of this stack's own servers")
        with self._exclusive():
            self._start(name)

    def _start(self, name: ServerName) -> str:
        """The server's address, once it answers."""
        began = time.monotonic()

        def tell(step: str, detail: str = "", /, *, done: bool = False) -> None:
            seconds = time.monotonic() - began
            with self._lock:
                self._on_progress(Progress(server=name, step=step, detail=detail, seconds=seconds, done=done))

        if address := self._given.get(name):
            tell("asking", given_servers.public(address))
            given_servers.check(self._servers[name], address, self._cancelled)
            tell(f"given by {name.variable}", done=True)
            return address
        ports, process, runner = self._ports(name), self._process(name), self._runners[name]
        address = self._servers[name].address(ports)
        if process is not None:
            runner.wait_until_ready(process, address)
            tell("was running", done=True)
        else:
            note = runner.start(ports, tell, lambda now: self._remember(name, now))
            tell("ready", note, done=True)
        return address

    def _stop(self, names: Iterable[ServerName]) -> None:
        running = {name: process for name in names if (process := self._process(name)) is not None}
        if not running:
            return
        with ThreadPoolExecutor(len(running)) as pool:
            stops = {name: pool.submit(self._runners[name].stop, process) for name, process in running.items()}
        for name, stop in stops.items():
            stop.result()
            self._remember(name, None)

    def _status(self, name: ServerName) -> Status:
        process = self._process(name)
        address = self._given.get(name) or (self._servers[name].address(self._ports(name)) if process else None)
        problem: str | None = "does not run"
        if address is not None:
            try:
                self._servers[name].check(address, _STATUS_TIMEOUT_S)
                problem = None
            except NotReady as error:
                problem = f"does not answer: {error}"
        return Status(server=name, address=address, pid=process.pid if process else None, problem=problem)

    def _choose_ports(self) -> None:
        """A server keeps the ports it had, unless it is down and somebody else took them."""
        state = self._state.read()
        taken = frozenset(port for one in state.values() for port in one.ports)
        for name, server in self._servers.items():
            old = state.get(name)
            if name in self._given or self._process(name) is not None:
                continue
            if old is None or not all(map(is_free, old.ports)):
                ports = free_ports(server.port_count, taken=taken)
                taken |= set(ports)
                self._state.write(name, ServerState(ports=ports, process=None))

    def _ports(self, name: ServerName) -> tuple[int, ...]:
        with self._lock:
            return self._state.read()[name].ports

    def _process(self, name: ServerName) -> ProcessId | None:
        """The process as remembered, if it still runs; None for a given server."""
        with self._lock:
            state = self._state.read().get(name)
        running = state is not None and state.process is not None and state.process.find() is not None
        return state.process if state is not None and running else None

    def _remember(self, name: ServerName, process: ProcessId | None) -> None:
        with self._lock:
            self._state.write(name, ServerState(ports=self._state.read()[name].ports, process=process))

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with exclusive(self._home / "lock"):
            yield
