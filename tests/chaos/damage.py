"""What does a bad disk leave of a worker's tables? Files of the right size with wrong bytes in them."""

from pathlib import Path

# The rows, the newest of them, and the list of what belongs together.
DATA_FILES = ("*.sst", "*.log", "MANIFEST-*")
RUN_BYTES = 64


def damage_stores(data_dir: Path) -> list[Path]:
    """Overwrite a run in the middle of every file with data in every RocksDB folder; returns those files.

    The worker must not run. Raises FileNotFoundError where there is nothing to damage.
    """
    stores = [path.parent for path in data_dir.rglob("CURRENT")]
    files = sorted(file for store in stores for pattern in DATA_FILES for file in store.glob(pattern))
    damaged = [file for file in files if file.stat().st_size]
    if not damaged:
        raise FileNotFoundError(f"no RocksDB with data in {data_dir}")
    for file in damaged:
        _overwrite_middle(file)
    return damaged


def _overwrite_middle(file: Path) -> None:
    with file.open("r+b") as data:
        size = file.stat().st_size
        at = max(0, size // 2 - RUN_BYTES // 2)
        data.seek(at)
        run = data.read(RUN_BYTES)
        data.seek(at)
        data.write(bytes(byte ^ 0xFF for byte in run))
