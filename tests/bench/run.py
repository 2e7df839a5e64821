"""What is known of one run of either side?"""

from collections.abc import Mapping
from dataclasses import dataclass

# A worker that uses less of a core waits; it is no part of the comparison of processes.
BUSY = 0.03


@dataclass(frozen=True, kw_only=True)
class Run:
    """CPU in seconds and peak memory by worker, CPU by server; ``lost`` and ``duplicates`` count notifications."""

    notifications: int
    seconds: float
    cpu_s: Mapping[str, float]
    server_cpu_s: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    log_bytes: int
    lost: int
    duplicates: int

    @property
    def per_s(self) -> float:
        return self.notifications / self.seconds

    @property
    def cpu_us(self) -> float:
        """Of all workers, for each notification."""
        return sum(self.cpu_s.values()) / self.notifications * 1e6

    @property
    def server_cpu_us(self) -> float:
        return sum(self.server_cpu_s.values()) / self.notifications * 1e6

    @property
    def all_cpu_us(self) -> float:
        """Of all that the cores did for it."""
        return self.cpu_us + self.server_cpu_us

    @property
    def busy(self) -> list[str]:
        """The workers that did the work."""
        return [name for name, seconds in self.cpu_s.items() if seconds > BUSY * self.seconds]

    @property
    def peak_mb(self) -> float:
        """Of the busy workers together."""
        return sum(self.peak_bytes[name] for name in self.busy) / 1e6

    @property
    def kafka_bytes(self) -> float:
        """For each notification."""
        return self.log_bytes / self.notifications
