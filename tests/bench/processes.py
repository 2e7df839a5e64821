"""What do processes cost? CPU and memory as the system counts them, asked from outside."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.kafka import log_bytes


@dataclass(frozen=True, kw_only=True)
class Reading:
    """CPU in seconds since each process began; what the topics have on disk."""

    workers_s: Mapping[str, float]
    servers_s: Mapping[str, float]
    log_bytes: int


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Processes by name; ``kafka_data`` is the broker's folder."""

    workers: Mapping[str, int]
    servers: Mapping[str, int]
    kafka_data: Path

    def read(self) -> Reading:
        return Reading(
            workers_s={name: cpu_seconds(pid) for name, pid in self.workers.items()},
            servers_s={name: cpu_seconds(pid) for name, pid in self.servers.items()},
            log_bytes=log_bytes(self.kafka_data),
        )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of all below it, and of those below it that have ended: a server's backends.

    Raises psutil.NoSuchProcess where the process itself is gone.
    """
    process = psutil.Process(pid)
    seconds = 0.0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:4])
    # Last: a child that has ended in between counts with its parent.
    return seconds + sum(process.cpu_times()[:4])


def peak_bytes(pid: int) -> int:
    """The most resident memory that a process has had; where the system does not keep that, what it has now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return resident_bytes(pid)
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def children(pattern: str) -> dict[str, int]:
    """Our own child processes that run a module of a package, by the module's name: ``simulators.sms`` is ``sms``."""
    found: dict[str, int] = {}
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            found |= {part.removeprefix(pattern): child.pid for part in child.cmdline() if part.startswith(pattern)}
    return found
