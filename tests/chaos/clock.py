"""What if a worker's wall clock is wrong? It then reads ``time`` with some seconds added; everything else goes on."""

import time
from pathlib import Path

from tests.chaos.orders import Order, give

_true_time, _true_time_ns = time.time, time.time_ns


def set_clock(folder: Path, worker: str, seconds: float) -> None:
    """From within some milliseconds on, and after a restart, until it is set again; 0 is right."""
    give(_path(folder, worker), str(seconds).encode())


def install(folder: Path, worker: str) -> None:
    """Change what ``time.time`` and ``time.time_ns`` tell this process, before anybody takes hold of them."""
    shift_s = Order(_path(folder, worker), float, nothing=0.0)
    # Not ``datetime.now``, which asks the system: the project's decisions are given their time from ``time``.
    time.time = lambda: _true_time() + shift_s.look()
    time.time_ns = lambda: _true_time_ns() + round(shift_s.look() * 1e9)


def true_time() -> float:
    """Whatever the process has been told."""
    return _true_time()


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.clock"
