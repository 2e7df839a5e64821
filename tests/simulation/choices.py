"""What goes wrong, and when? A schedule: for a place at which something could go differently, the number of how.

A place is a name and how often it was passed before; 0 is the way of a good day. A schedule names the bad ones only, so
its shortest form is the shortest bad story:

    send-1.before-it-commits#2:1 provider#4:8      the third commit of send-1 kills it, the fifth call is answered so
"""

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

Place = tuple[str, int]
Schedule = Mapping[Place, int]


class Source(Protocol):
    def take(self, place: Place, ways: int, bad_one_in: float) -> int: ...


class Drawn:
    """By the seed: the same seed gives the same schedule to the same code."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        # Some schedules are nearly calm, some are storms.
        self._calm = self._random.choice((0.3, 1.0, 1.0, 3.0))

    def take(self, place: Place, ways: int, bad_one_in: float) -> int:
        if self._random.random() * bad_one_in * self._calm >= 1.0:
            return 0
        return self._random.randrange(1, ways)


class Given:
    """A schedule that was written down."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def take(self, place: Place, ways: int, bad_one_in: float) -> int:
        return min(self._schedule.get(place, 0), ways - 1)


class Choices:
    """Takes each choice as it comes up, and writes it down; from `calm` on nothing goes wrong any more."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._passed: dict[str, int] = {}
        self._is_calm = False
        self.taken: dict[Place, int] = {}

    def take(self, name: str, ways: int, bad_one_in: float) -> int:
        """0 to ``ways - 1``; about one in ``bad_one_in`` is not 0."""
        if self._is_calm:
            return 0
        number = self._passed.get(name, 0)
        self._passed[name] = number + 1
        place = (name, number)
        if way := self._source.take(place, ways, bad_one_in):
            self.taken[place] = way
        return way

    def calm(self) -> None:
        self._is_calm = True


@lru_cache(maxsize=1_000)
def place_name(who: str, where: str) -> str:
    return f"{who}.{where}".replace(" ", "-")


def written(schedule: Schedule) -> str:
    return " ".join(f"{name}#{number}:{way}" for (name, number), way in schedule.items())


def parsed(text: str) -> Schedule:
    """Raises ValueError."""
    schedule: dict[Place, int] = {}
    for entry in text.split():
        place, _, way = entry.rpartition(":")
        name, _, number = place.rpartition("#")
        schedule[name, int(number)] = int(way)
    return schedule
