"""What a real Faust worker leaves on stdout from its start to its end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

APP = """
import asyncio, sys
import faust
from observability.faust_worker import Worker
from observability.logging import configure

configure("debug", "json", "sink", "pod-0")
app = faust.App("logs", broker="kafka://127.0.0.1:1", Worker=Worker, datadir=sys.argv.pop(), web_enabled=False)
"""
RUN = "app.main()"
READY = "asyncio.run(app.Worker().on_startup_finished())"


def stdout(program: str, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", APP + program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_is_json_and_none_is_debug(tmp_path: Path) -> None:
    """Without ``-l``, where Faust would open every logger at DEBUG; no broker, so it ends by itself."""
    lines = stdout(RUN, "--quiet", "worker", "--without-web", str(tmp_path))
    assert {line["log.level"] for line in lines} <= {"info", "warning", "error"}
    assert {line["service"]["node"]["name"] for line in lines} == {"pod-0"}
    assert any(line["log"]["logger"] == "faust.worker" and "error" in line for line in lines)


def test_being_ready_is_a_line_and_no_smiley(tmp_path: Path) -> None:
    assert [line["message"] for line in stdout(READY, str(tmp_path))] == ["[^Worker]: Ready"]
