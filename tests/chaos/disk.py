"""What if a worker's disk is full? Its folder becomes a small file system of its own, that can be filled and freed."""

import atexit
import os
import shutil
import subprocess
import sys
from pathlib import Path

BALLAST = "ballast"
BLOCK = bytes(1 << 20)
COMMAND_TIMEOUT_S = 20.0


class DiskUnavailable(Exception):
    """No file system can be mounted here; says why: the fault is not injected."""


class SmallDisk:
    """A tmpfs of so many MiB at ``path``, unmounted when this process ends, if not before. Blocking."""

    def __init__(self, path: Path, *, size_mib: int) -> None:
        self._path = path
        self._size_mib = size_mib

    def mount(self) -> None:
        """Empty, in front of what the folder has. Raises DiskUnavailable."""
        if why := why_not():
            raise DiskUnavailable(why)
        self.unmount()  # what a run that was killed has left
        self._path.mkdir(parents=True, exist_ok=True)
        atexit.register(self.unmount)
        try:
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size_mib}m", "herald-chaos", str(self._path))
        except subprocess.CalledProcessError as error:
            atexit.unregister(self.unmount)
            raise DiskUnavailable(f"mount: {error.stderr.strip()}") from error

    def unmount(self) -> None:
        """What was on it is gone, and what the folder had is there again. Nothing happens where nothing is mounted."""
        while os.path.ismount(self._path):
            # Lazily: whoever has files open there keeps them, and holds nobody up.
            _run("umount", "--lazy", str(self._path))
        atexit.unregister(self.unmount)

    def fill(self) -> None:
        """Not a byte is left."""
        with (self._path / BALLAST).open("ab", buffering=0) as ballast:
            block = BLOCK
            while block:
                try:
                    ballast.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def free(self) -> None:
        (self._path / BALLAST).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._path).free


def why_not() -> str | None:
    """None where a file system can be mounted, as far as can be told without trying."""
    if sys.platform != "linux":
        return "only Linux has tmpfs"
    if os.geteuid() != 0:
        return "only root may mount a file system"
    if shutil.which("mount") is None or shutil.which("umount") is None:
        return "there is no mount (util-linux)"
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
