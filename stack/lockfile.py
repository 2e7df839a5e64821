"""How do two commands on one stack keep out of each other's way?"""

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
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _TIMEOUT_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StackError(f"another command has been at work in {path.parent} for long") from error
                time.sleep(_POLL_S)
        yield
