"""Has anything become slower? The last figures that were recorded, in ``docs/performance.json``, beside new ones.

What is compared are ratios to the hand-written job on the same machine in the same minutes: from one hour or machine to
the next they change less than figures per second, and by `TOLERANCE` without a cause.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

PATH = Path(__file__).resolve().parents[2] / "docs" / "performance.json"
TOLERANCE = 0.15
LEAST_RATIO = 1.3
GIT_TIMEOUT_S = 10.0

Figures = dict[str, Any]


def read(name: str, path: Path = PATH) -> Figures | None:
    """None where nothing of that name has been recorded."""
    try:
        recorded: Figures | None = msgspec.json.decode(path.read_bytes()).get(name)
    except FileNotFoundError:
        return None
    return recorded


def write(name: str, figures: Figures, path: Path = PATH) -> None:
    """In place of what was recorded of that name."""
    there = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    there[name] = {**figures, **machine()}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(there), indent=2) + b"\n")


def regressions(old: Figures | None, new: Figures) -> list[str]:
    """A sentence for each ratio that is worse than it was by more than the tolerance, or than it may ever be."""
    found = []
    if new["ratio"] < LEAST_RATIO:
        found.append(f"throughput beside the hand-written job is {new['ratio']:.2f}, less than {LEAST_RATIO:g}")
    if old is None:
        return found
    if new["ratio"] < old["ratio"] * (1 - TOLERANCE):
        found.append(f"throughput beside the hand-written job fell from {old['ratio']:.2f} to {new['ratio']:.2f}")
    if new["cpu_ratio"] > old["cpu_ratio"] * (1 + TOLERANCE):
        found.append(f"CPU beside the hand-written job rose from {old['cpu_ratio']:.2f} to {new['cpu_ratio']:.2f}")
    return found


def machine() -> Figures:
    """On what the figures were had."""
    return {
        "commit": commit(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "recorded_on": f"{datetime.now(UTC):%Y-%m-%d}",
    }


@cache
def commit() -> str | None:
    """Of which code they are, with a plus where that has been changed since; None outside of a clone.

    As it was when this was asked first: others may commit while something is measured.
    """
    try:
        changed = _git("status", "--porcelain", "--", ":/", ":!/docs", ":!/README.md")
        return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=PATH.parent, capture_output=True, check=True, timeout=GIT_TIMEOUT_S)
    return found.stdout.decode().strip()
