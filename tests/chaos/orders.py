"""How is a running worker told something from outside? By a file that it looks at often, and cheaply."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

# An os.stat in so many seconds at most, however often the worker asks.
LOOK_EVERY_S = 0.003

T = TypeVar("T")


def give(path: Path, content: bytes) -> None:
    """In place of the order before; never seen half written."""
    fresh = path.with_suffix(f"{path.suffix}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


class Order(Generic[T]):
    """What the file says now; ``nothing`` where there is none. May be asked from any thread."""

    def __init__(self, path: Path, read: Callable[[bytes], T], *, nothing: T) -> None:
        self._path = path
        self._read = read
        self._nothing = nothing
        self._look_at = 0.0
        self._known: tuple[int, int] | None = None
        self.value = nothing

    def look(self) -> T:
        now = time.monotonic()
        if now < self._look_at:
            return self.value
        self._look_at = now + LOOK_EVERY_S
        try:
            stat = self._path.stat()
            if (stat.st_ino, stat.st_mtime_ns) != self._known:
                self.value = self._read(self._path.read_bytes())
                self._known = stat.st_ino, stat.st_mtime_ns
        except FileNotFoundError:
            self.value, self._known = self._nothing, None
        return self.value
