"""What goes wrong, and when? A schedule: the n-th time that something could go differently, the number of how.

0 is the way of a good day. A schedule names the bad ones only, so its shortest form is the shortest bad story:

    12:3 40:1      the 12th choice takes way 3, the 40th takes way 1, every other takes way 0
"""

import random
from collections.abc import Mapping
from typing import Protocol

Schedule = Mapping[int, int]


class Source(Protocol):
    def take(self, number: int, ways: int, bad_one_in: float) -> int: ...


class Drawn:
    """By the seed: the same seed gives the same schedule to the same code."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        # Some schedules are nearly calm, some are storms.
        self._calm = self._random.choice((0.3, 1.0, 1.0, 3.0))

    def take(self, number: int, ways: int, bad_one_in: float) -> int:
        if self._random.random() * bad_one_in * self._calm >= 1.0:
            return 0
        return self._random.randrange(1, ways)


class Given:
    """A schedule that was written down."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def take(self, number: int, ways: int, bad_one_in: float) -> int:
        return min(self._schedule.get(number, 0), ways - 1)


class Choices:
    """Takes each choice as it comes up, and writes it down; from `calm` on nothing goes wrong any more."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._number = 0
        self._is_calm = False
        self.taken: dict[int, int] = {}

    def take(self, ways: int, bad_one_in: float) -> int:
        """0 to ``ways - 1``; about one in ``bad_one_in`` is not 0."""
        if self._is_calm:
            return 0
        number = self._number
        self._number += 1
        if way := self._source.take(number, ways, bad_one_in):
            self.taken[number] = way
        return way

    def calm(self) -> None:
        self._is_calm = True


def written(schedule: Schedule) -> str:
    return " ".join(f"{number}:{way}" for number, way in sorted(schedule.items()))


def parsed(text: str) -> Schedule:
    """Raises ValueError."""
    pairs = (entry.split(":") for entry in text.split())
    return {int(number): int(way) for number, way in pairs}
