"""Which workers has a supervisor on this machine started? It writes it down, so that another command can ask them."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

NAME = "workers.json"
# The clock that start times are counted from may be set in between; no pid comes round again this fast.
TOLERANCE_S = 2.0


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    name: str
    url: str
    data_dir: str
    pid: int | None = None


def write(folder: Path, workers: Iterable[WorkerEntry]) -> None:
    """Replaced as a whole; it counts for as long as the process that writes it lives."""
    document = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "workers": [asdict(one) for one in workers],
    }
    fresh = folder / f"{NAME}.new"
    fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    fresh.replace(folder / NAME)


def remove(folder: Path) -> None:
    (folder / NAME).unlink(missing_ok=True)


def read(folder: Path) -> list[WorkerEntry]:
    """Nothing where there is no file, or none whose writer lives. Raises ValueError where it is no such file."""
    path = folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        lives = _lives(document["pid"], document["started"])
        return [WorkerEntry(**entry) for entry in document["workers"]] if lives else []
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a supervisor's file ({error!r}); remove it") from error


def _lives(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
