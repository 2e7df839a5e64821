"""Which schedule breaks a promise, and what is the shortest story of it?"""

import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.simulation.checks import Violation
from tests.simulation.choices import Choices, Drawn, Given, Place, Schedule, Source
from tests.simulation.schedules import PROFILES
from tests.simulation.world import World, story

# What processes that died leave behind is collected between schedules, not within them.
COLLECT_EVERY = 50
SHRINK_RUNS = 600


def same_in_every_process() -> None:
    """Start this process anew if the order of sets of strings, which is part of a schedule, is not the usual one."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606


@dataclass(frozen=True, slots=True)
class Failure:
    """``kind`` is what was violated, without names and numbers."""

    schedule: Schedule
    what: str
    story: Sequence[str]

    @property
    def kind(self) -> str:
        return re.sub(r"[\w./-]*\d[\w./-]*", "#", self.what.partition(";")[0])


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to; ``seconds`` of this process's own time."""

    schedules: int
    seconds: float
    failures: dict[int, Failure]

    @property
    def per_minute(self) -> float:
        return 60 * self.schedules / max(self.seconds, 1e-9)


def play(profile: str, source: Source) -> Failure | None:
    """One schedule, within `schedules.simulated`."""
    choices = Choices(source)
    world: World = PROFILES[profile](choices)
    try:
        world.run()
    except Violation as violation:
        return Failure(choices.taken, str(violation), story(world))
    return None


def search(profile: str, seeds: Iterable[int], *, at_most: int = 1) -> Found:
    """Play seed after seed until so many have failed."""
    failures: dict[int, Failure] = {}
    began, played = time.process_time(), 0
    for seed in seeds:
        played += 1
        if failure := play(profile, Drawn(seed)):
            failures[seed] = failure
            if len(failures) >= at_most:
                break
        if played % COLLECT_EVERY == 0:
            gc.collect()
    return Found(played, time.process_time() - began, failures)


def shortest(profile: str, failure: Failure) -> Failure:
    """The failure with everything left out that it does not need; of the same kind."""
    runs = 0

    def fails(schedule: Schedule) -> Failure | None:
        nonlocal runs
        runs += 1
        if runs % COLLECT_EVERY == 0:
            gc.collect()
        again = play(profile, Given(schedule))
        return again if again is not None and again.kind == failure.kind else None

    best = fails(failure.schedule) or failure
    size = max(1, len(best.schedule) // 2)
    while runs < SHRINK_RUNS:
        smaller = _without_some(best, size, fails)
        if smaller is not None:
            best, size = smaller, min(size, max(1, len(smaller.schedule) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return best


def _without_some(failure: Failure, size: int, fails: Callable[[Schedule], Failure | None]) -> Failure | None:
    places: list[Place] = list(failure.schedule)
    for start in range(0, len(places), size):
        left_out = set(places[start : start + size])
        smaller = fails({place: way for place, way in failure.schedule.items() if place not in left_out})
        if smaller is not None and len(smaller.schedule) < len(failure.schedule):
            return smaller
    return None
