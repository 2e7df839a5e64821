"""Where does a partition stand, and must it move? What the watchdog compares from one look to the next."""

from typing import NamedTuple


class Stand(NamedTuple):
    """How far a partition is committed, finished and read, where it ends, and whether something is in flight."""

    committed: int
    finished: int
    read: int
    end: int
    in_flight: bool

    @property
    def lag(self) -> int:
        """Records that are not committed, at most: some offsets hold none."""
        return max(0, self.end - self.committed)

    @property
    def has_work(self) -> bool:
        return self.in_flight or self.finished > self.committed or self.read < self.end

    @property
    def progress(self) -> tuple[int, ...]:
        """What must move while there is work: new records do not make up for a head that stands still."""
        return (self.committed, self.finished) if self.in_flight else (self.committed, self.finished, self.read)
