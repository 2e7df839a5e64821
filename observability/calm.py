"""How is a library that says the same thing a hundred times a second kept from filling the logs?"""

import logging
import time
from collections.abc import Callable

EVERY_S = 10.0
REMEMBER = 1_000


class Calm(logging.Filter):
    """Lets one line in `EVERY_S` through for each logger and message, before its fields are filled in.

    While a broker is away, its clients would otherwise write a megabyte a minute that says so.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        what = (record.name, str(record.msg)[:100])
        if now - self._said_at.get(what, float("-inf")) < EVERY_S:
            return False
        if len(self._said_at) >= REMEMBER:
            self._said_at.clear()
        self._said_at[what] = now
        return True
