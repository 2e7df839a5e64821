"""Where can a worker be made to die? At named points around its real code, each of which leaves other things undone.

A point is armed by a file with the worker's name. Whoever reaches it takes the file away, writes itself into
``crashes.ndjson`` and sends itself SIGKILL.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path

import msgspec

from settings import Role
from tests.chaos.clock import true_time
from tests.chaos.orders import Order, give


class CrashPoint(StrEnum):
    """Named by what has just happened, or is about to."""

    AFTER_CLAIM = "after-claim"
    """The claim is durable, the provider not called."""
    DURING_CALL = "during-call"
    """The call is out, and unanswered for some milliseconds."""
    AFTER_ANSWER = "after-answer"
    """The provider has answered, nothing has been produced."""
    AFTER_OUTCOME = "after-outcome"
    """Outcomes are acknowledged, their claims not finished."""
    AFTER_NOTIFICATIONS = "after-notifications"
    """Notifications are acknowledged, their events not noted as seen."""
    AFTER_ROWS = "after-rows"
    """Postgres has the rows, nothing is committed."""
    AFTER_RETURN = "after-return"
    """What was due is back on its topic, nothing is committed."""
    BEFORE_COMMIT = "before-commit"
    """Offsets are about to be committed."""
    AFTER_COMMIT = "after-commit"
    """The broker has taken offsets, and nobody here knows."""
    DURING_RECOVERY = "during-recovery"
    """Tables are about to be read from their changelogs; at later passes, a part of them has been."""
    DURING_REBALANCE = "during-rebalance"
    """Partitions are being taken away, or given."""


_CONSUMING = frozenset({CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, CrashPoint.DURING_REBALANCE})
_SENDING = _CONSUMING | {
    CrashPoint.AFTER_CLAIM,
    CrashPoint.DURING_CALL,
    CrashPoint.AFTER_ANSWER,
    CrashPoint.AFTER_OUTCOME,
    CrashPoint.DURING_RECOVERY,
}
POINTS: dict[Role, frozenset[CrashPoint]] = {
    Role.ENRICH: _CONSUMING | {CrashPoint.AFTER_NOTIFICATIONS, CrashPoint.DURING_RECOVERY},
    Role.SEND_SMS: _SENDING,
    Role.SEND_EMAIL: _SENDING,
    Role.SEND_PUSH: _SENDING,
    Role.SINK: _CONSUMING | {CrashPoint.AFTER_ROWS},
    Role.RETRY: frozenset({CrashPoint.AFTER_RETURN, CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT}),
    Role.API: frozenset(),
}


class Armed(msgspec.Struct, frozen=True):
    """``passes`` times the point is passed unharmed; they are counted anew if the worker is started again."""

    point: CrashPoint
    passes: int = 0


class Crash(msgspec.Struct, frozen=True):
    """``at`` in true epoch seconds."""

    point: CrashPoint
    at: float
    pid: int
    role: Role
    worker: str


def arm(folder: Path, worker: str, point: CrashPoint, *, passes: int = 0) -> None:
    """In place of what was armed before."""
    give(_path(folder, worker), msgspec.json.encode(Armed(point, passes)))


def disarm(folder: Path, worker: str) -> None:
    _path(folder, worker).unlink(missing_ok=True)


def crashes(folder: Path) -> list[Crash]:
    """Every crash so far, in order."""
    try:
        lines = _log(folder).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Crash) for line in lines]


class Points:
    """A worker's own view; costs next to nothing where nothing is armed."""

    def __init__(self, folder: Path, worker: str, role: Role) -> None:
        self._folder = folder
        self._worker = worker
        self._role = role
        self._order: Order[Armed | None] = Order(
            _path(folder, worker), msgspec.json.Decoder(Armed).decode, nothing=None
        )
        self._counting: Armed | None = None
        self._passed = 0

    def is_armed(self, point: CrashPoint) -> bool:
        armed = self._order.look()
        return armed is not None and armed.point is point

    def reach(self, point: CrashPoint) -> None:
        """Does not return where the point is armed and its passes are used up."""
        armed = self._order.look()
        if armed is None or armed.point is not point:
            return
        if armed is not self._counting:
            self._counting, self._passed = armed, 0
        if self._passed < armed.passes:
            self._passed += 1
            return
        self._die(point)

    def _die(self, point: CrashPoint) -> None:
        disarm(self._folder, self._worker)
        line = msgspec.json.encode(Crash(point, true_time(), os.getpid(), self._role, self._worker)) + b"\n"
        with _log(self._folder).open("ab") as log:
            log.write(line)
            log.flush()
            os.fsync(log.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.crash"


def _log(folder: Path) -> Path:
    return folder / "crashes.ndjson"
