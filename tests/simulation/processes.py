"""Schedules are played in processes of their own, as commands that a failure can be repeated with."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600.0

Played = subprocess.CompletedProcess[str]


def play(arguments: list[str]) -> Played:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
