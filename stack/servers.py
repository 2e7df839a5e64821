"""What must a server offer so that the stack can run it?"""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stack.endpoints import ServerName


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start a server: ``setup`` commands make its data, once, and are repeated from nothing if broken off.

    ``note`` is what the user may want to know about the start.
    """

    command: Sequence[str | Path]
    setup: Sequence[Sequence[str | Path]] = ()
    note: str = ""


def data_folder(folder: Path) -> Path:
    """Where a server keeps what ``setup`` made; the rest of its folder is written anew at each start."""
    return folder / "data"


class OnStep(Protocol):
    """Told what a start is at; ``detail`` is what changes within a step."""

    def __call__(self, step: str, detail: str = "", /) -> None: ...


class Server(Protocol):
    """One kind of server; holds no state: all that lasts is in its folder and in the stack's state file."""

    name: ServerName
    port_count: int
    stop_signal: signal.Signals
    stop_timeout_s: float

    def launch(self, folder: Path, ports: tuple[int, ...], on_step: OnStep, cancelled: threading.Event) -> Launch:
        """Write settings into ``folder`` and say what to run; may fetch what it needs, once. Raises StackError."""
        ...

    def address(self, ports: tuple[int, ...]) -> str:
        """What clients are given."""
        ...

    def check(self, address: str, timeout_s: float) -> None:
        """One real request within ``timeout_s``; NotReady when it is not answered. Also for servers given by name."""
        ...


class NotReady(Exception):
    """The server does not answer yet; the message says how."""
