"""How do two commands in one folder keep out of each other's way?"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.endpoints import StackError

_TIMEOUT_S = 120.0
_POLL_S = 0.1


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock at ``path``; waits for another holder up to two minutes, then StackError. Gone with the process."""
    with _held(path, _TIMEOUT_S, f"another command has been at work in {path.parent} for long"):
        yield


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """As `exclusive`, without a wait: two of these at once would harm each other. Raises StackError."""
    with _held(path, 0.0, f"{what} is running in {path.parent}: stop it first"):
        yield


@contextmanager
def _held(path: Path, timeout_s: float, problem: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise StackError(problem) from error
                time.sleep(_POLL_S)
        yield
