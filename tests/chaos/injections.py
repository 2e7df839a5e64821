"""What has been done to the pipeline in this scenario, and when? The checker's faults, and the measure of recovery."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from pipeline.notifications import Channel
from settings import Role
from simulators.ledger import Entry, Result
from tests.chaos.account import Account, Fault

ANY = 1_000_000


@dataclass(kw_only=True)
class Injection:
    """``channels`` are those whose messages it may repeat, ``in_flight`` of each.

    With ``unanswered`` calls may have been accepted without a word: then each message accepted within it counts as in
    flight. With ``may_be_early`` clocks are wrong: any number of attempts may be early, and none may be told again.
    ``killed`` is the role whose worker died in it; ``first_after_s`` how long until the first sign of life after it,
    where that is measured while it runs.
    """

    name: str
    at_s: float
    channels: Sequence[Channel]
    in_flight: int
    ends_workers: bool
    calm_s: float
    unanswered: bool = False
    may_be_early: bool = False
    killed: Role | None = None
    ended_s: float = inf
    first_after_s: float | None = None

    def end(self) -> None:
        self.ended_s = time.time()

    def faults(self, entries: Mapping[Channel, Sequence[Entry]]) -> list[Fault]:
        """``entries`` are what each provider was told."""
        return [
            Fault(
                name=self.name,
                at_s=self.at_s,
                until_s=self.ended_s + self.calm_s,
                channel=channel,
                in_flight=ANY if self.may_be_early else self.bound(channel, entries),
                ends_workers=self.ends_workers,
            )
            for channel in self.channels
        ]

    def bound(self, channel: Channel, entries: Mapping[Channel, Sequence[Entry]]) -> int:
        """How many messages of the channel it may have had told again."""
        if channel not in self.channels:
            return 0
        unanswered = (
            sum(one.result is Result.ACCEPTED and self.at_s <= one.at <= self.ended_s for one in entries[channel])
            if self.unanswered
            else 0
        )
        return self.in_flight + unanswered


@dataclass
class Injections:
    """In the order of their beginning; several may overlap."""

    all: list[Injection] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        with self._lock:
            self.all = []

    def begin(
        self, name: str, *, channels: Sequence[Channel], in_flight: int, ends_workers: bool, calm_s: float
    ) -> Injection:
        injection = Injection(
            name=name,
            at_s=time.time(),
            channels=channels,
            in_flight=in_flight,
            ends_workers=ends_workers,
            calm_s=calm_s,
        )
        with self._lock:
            self.all.append(injection)
        return injection

    @property
    def kills(self) -> int:
        return sum(one.killed is not None for one in self.all)

    def faults(self, entries: Mapping[Channel, Sequence[Entry]]) -> list[Fault]:
        return [fault for one in self.all for fault in one.faults(entries)]


def first_sends(injections: Iterable[Injection], account: Account) -> list[float]:
    """For each fault, the seconds from its end, or from the kill, to the first sending that shows recovery."""
    return [seconds for one in injections if (seconds := _first_send(one, account)) is not None]


def _first_send(one: Injection, account: Account) -> float | None:
    if one.first_after_s is not None:
        return one.first_after_s
    since_s = one.ended_s
    match one.killed:
        case None:
            channels = one.channels or tuple(Channel)
            times = [
                _first(entry.at for entry in account.entries[channel] if entry.at > since_s) for channel in channels
            ]
            found = max((time_s for time_s in times if time_s is not None), default=None)
        case Role.ENRICH:
            born = {
                word.outcome.notification_id for word in account.words if word.outcome.created_at.timestamp() > since_s
            }
            entries = (entry for some in account.entries.values() for entry in some)
            found = _first(entry.at for entry in entries if entry.id in born)
        case Role.RETRY:
            again = (handed.place.at_ms / 1000 for handed in account.handed if handed.attempts or handed.due_ms)
            found = _first(at_s for at_s in again if at_s > since_s)
        case role:
            channel = role.channel
            found = None if channel is None else _first(e.at for e in account.entries[channel] if e.at > since_s)
    return None if found is None else found - since_s


def _first(times: Iterable[float]) -> float | None:
    return min(times, default=None)
