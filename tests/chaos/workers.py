"""How are the workers hurt while they run? At a point, by the clock, on the disk; and as `Crew` has it.

Every method blocks for a limited time and may be called from any thread.
"""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.supervisor import LOOK_EVERY_S, WorkersFailed
from settings import Role
from tests.chaos import clock, points
from tests.chaos.crew import Crew
from tests.chaos.damage import damage_stores
from tests.chaos.disk import SmallDisk
from tests.chaos.points import Crash, CrashPoint
from tests.chaos.scrape import Scrape, scrape
from tests.chaos.worker import FOLDER_VARIABLE

COMMAND = (sys.executable, "-m", "tests.chaos.worker")
CRASH_TIMEOUT_S = 60.0


class Workers(Crew):
    """They are `tests.chaos.worker`; their orders, their crashes, logs and data lie in ``folder``."""

    def __init__(
        self, roles: Iterable[Role], *, environment: Mapping[str, str], folder: Path, workers_per_role: int = 1
    ) -> None:
        super().__init__(
            roles,
            environment={**environment, FOLDER_VARIABLE: str(folder)},
            folder=folder,
            workers_per_role=workers_per_role,
            command=COMMAND,
        )
        self._crashed_before: dict[str, int] = {}

    def arm(self, name: str, point: CrashPoint, *, passes: int = 0) -> None:
        """The worker dies where it next reaches the point, after so many passes. ValueError where it never would."""
        role = self.workers[name].role
        if point not in points.POINTS[role]:
            raise ValueError(f"{role} never comes to {point}")
        self._crashed_before[name] = len(self._crashes_of(name))
        points.arm(self._folder, name, point, passes=passes)

    def disarm(self, name: str) -> None:
        points.disarm(self._folder, name)

    def crashes(self) -> list[Crash]:
        """Those that were armed and have happened, in order."""
        return points.crashes(self._folder)

    def wait_crash(self, name: str, *, timeout_s: float = CRASH_TIMEOUT_S) -> Crash:
        """Until the worker has died where it was armed to. Raises WorkersFailed where it does not get there in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            new = self._crashes_of(name)[self._crashed_before[name] :]
            if new and any(life.pid == new[0].pid and life.ended_at for life in self.lives.all(name)):
                return new[0]
            if time.monotonic() > deadline:
                raise WorkersFailed(f"{name} has not come to the point where it was to die")
            time.sleep(LOOK_EVERY_S)

    def _crashes_of(self, name: str) -> list[Crash]:
        return [crash for crash in self.crashes() if crash.worker == name]

    def set_clock(self, name: str, seconds: float) -> None:
        """The worker's wall clock is wrong by so much from now on, also after a restart."""
        clock.set_clock(self._folder, name, seconds)

    def corrupt_store(self, name: str) -> list[Path]:
        """Stop it, damage its tables on disk, and let it start; returns the damaged files."""
        with self.stopped(name) as worker:
            return damage_stores(worker.data_dir)

    def lose_store(self, name: str) -> None:
        """Stop it, and let it start with an empty disk."""
        with self.stopped(name) as worker:
            shutil.rmtree(worker.data_dir)

    @contextmanager
    def on_small_disk(self, name: str, *, size_mib: int) -> Iterator[SmallDisk]:
        """Within the block its data lie on a file system of so many MiB, empty at first; then it has its own again.

        Raises DiskUnavailable, and leaves the worker as it was.
        """
        disk = SmallDisk(self.workers[name].data_dir, size_mib=size_mib)
        with self.stopped(name):
            disk.mount()
        try:
            yield disk
        finally:
            try:
                with self.stopped(name):
                    disk.unmount()
            finally:
                disk.unmount()

    def metrics(self, name: str) -> Scrape:
        """Raises OSError where it does not answer."""
        return scrape(self.workers[name].http_port)
