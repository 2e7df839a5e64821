"""An event loop that hangs cannot say so itself: a thread that hears nothing of it ends the process."""

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from streaming import watchdog
from streaming.watchdog import Pulse, keep_beating

LIMIT_S = 0.2
SOON_S = 10.0


class Process:
    def __init__(self) -> None:
        self.ended = threading.Event()
        self.reasons: list[str] = []

    def end(self, reason: str) -> Any:
        """Unlike the real one it returns, and is called again."""
        self.reasons.append(reason)
        self.ended.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PULSE_EVERY_S", 0.01)


def test_a_loop_that_hangs_ends_the_process() -> None:
    process = Process()
    with Pulse(LIMIT_S, process.end):
        assert process.ended.wait(SOON_S)
    assert process.reasons[0] == "the event loop has stood still for 0 s"


def test_a_loop_that_goes_round_does_not() -> None:
    process = Process()
    # A minute of ticks: a busy machine may keep this thread from beating for a while.
    with Pulse(60.0, process.end) as pulse:
        pulse._still_s = 59.0
        pulse.beat()
        seen = pulse._still_s
        until = time.monotonic() + SOON_S
        while pulse._still_s <= seen and time.monotonic() < until:
            time.sleep(0.005)
        assert 0 < pulse._still_s < 59.0, "it counts anew from each beat"
    assert not process.ended.is_set()


def test_it_ends_with_its_loop() -> None:
    process = Process()
    # That of the test before may be about to end.
    before = set(threading.enumerate())
    with Pulse(LIMIT_S, process.end):
        (thread,) = [one for one in set(threading.enumerate()) - before if one.name == "pulse"]
    thread.join(SOON_S)
    assert not thread.is_alive()


async def test_a_loop_beats_by_itself_until_it_hangs() -> None:
    process = Process()
    beating = asyncio.create_task(keep_beating(LIMIT_S, process.end))
    await asyncio.sleep(0)
    hung_until = time.monotonic() + SOON_S
    while not process.ended.is_set() and time.monotonic() < hung_until:
        time.sleep(0.005)  # noqa: ASYNC251 this is what hangs
    assert process.ended.is_set()
    beating.cancel()


MUTE = """
import threading
from types import SimpleNamespace
from streaming import watchdog
watchdog.LAST_WORD_S = 0.1
watchdog.log = SimpleNamespace(critical=lambda *_, **__: threading.Event().wait())
watchdog.end_process("nobody reads this")
"""


def test_who_cannot_say_why_ends_all_the_same() -> None:
    """What the loop hangs in may be the log: a pipe that nobody reads."""
    assert subprocess.run([sys.executable, "-c", MUTE], check=False, timeout=60).returncode == watchdog.EXIT_STUCK
