"""How does a signal end a start or a demo without leaving a process behind?"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit, as Ctrl-C raises KeyboardInterrupt; one that somebody handles is left alone.

    Python lets only the main thread set handlers: elsewhere this does nothing.
    """
    free = [one for one in _ENDING if _is_main() and signal.getsignal(one) == signal.SIG_DFL]
    for one in free:
        signal.signal(one, _exit)
    try:
        yield
    finally:
        for one in free:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP are ignored: for stopping, which is bounded in time. Main thread only, as above."""
    ignored = (signal.SIGINT, *_ENDING) if _is_main() else ()
    before = {one: signal.signal(one, signal.SIG_IGN) for one in ignored}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
