"""Kafka, PostgreSQL and Valkey on this machine, out of packages alone: for the demo, the tests and those who develop.

    with running_stack(home) as endpoints: ...

starts them and always stops them; ``Stack.up`` and ``Stack.down`` leave them running between commands.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from stack.endpoints import Endpoints, ServerName, StackError
from stack.local import Stack, Status
from stack.progress import OnProgress, Progress, silent

__all__ = [
    "Endpoints",
    "OnProgress",
    "Progress",
    "ServerName",
    "Stack",
    "StackError",
    "Status",
    "running_stack",
    "silent",
]


def running_stack(
    home: Path, *, given: Mapping[ServerName, str] | None = None, on_progress: OnProgress = silent
) -> AbstractContextManager[Endpoints]:
    """A stack for the length of a ``with``: stopped at its end, on an error, on Ctrl-C and on SIGTERM."""
    return Stack(home, given=given, on_progress=on_progress).running()
