"""What happens in one schedule? Cargo is published; processes work, die and come back, until all is at rest."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pipeline.errors import StorageUnavailable
from pipeline.subscriptions import Subscription
from tests.fakes import T0_MS
from tests.simulation.broker import NOTICE_S, Broker, Group, Listener
from tests.simulation.checks import Checks, Violation
from tests.simulation.choices import Choices, place_name
from tests.simulation.life import Life
from tests.simulation.loop import SimulatedLoop
from tests.simulation.provider import Ledger
from tests.simulation.roles import RETRY, Role, send_policy
from tests.simulation.tables import Store

PARTITIONS = 2
SESSION_TIMEOUT_S = 6.0
# After so long nothing goes wrong any more, and after so long all must be at rest.
CALM_AFTER_S = 25.0
REST_WITHIN_S = 600.0
MISHAPS = 6


@dataclass(slots=True)
class Worker:
    """A name that has one life after the other."""

    name: str
    role: Role
    group: Group
    life: Life | None = None
    listener: Listener | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    at_s: float
    who: str
    what: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        arguments = tuple(one() if callable(one) else one for one in self.arguments)
        return f"{self.at_s:8.3f}  {self.who:<10}  {self.what % arguments}"


@dataclass
class Facts:
    """How a schedule's world is made: its provider, the channel's policy, how long news is news."""

    send_again: bool
    key_lifetime_s: float
    expire_after_s: float
    subscriptions: dict[str, tuple[float, Subscription]] = field(default_factory=dict)


class World:
    """One schedule, from start to rest."""

    session_timeout_s = SESSION_TIMEOUT_S
    attempts = RETRY.attempts

    def __init__(self, choices: Choices, facts: Facts) -> None:
        self.choices = choices
        self.facts = facts
        self.loop = SimulatedLoop()
        self.checks = Checks(self)
        self.broker = Broker(self, PARTITIONS)
        self.policy = send_policy(send_again=facts.send_again, key_lifetime_s=facts.key_lifetime_s)
        self.ledger = Ledger(facts.key_lifetime_s)
        self.outcome_rows: dict[str, Any] = {}
        self.event_rows: dict[Any, Any] = {}
        self.history: list[Entry] = []
        self.workers: dict[str, Worker] = {}
        self._context = Context()
        self._disks: dict[tuple[str, str, int], Store] = defaultdict(dict)
        self._mishaps = 0
        self._tokens = count(1)
        self._postgres_away_until = 0.0
        self._to_publish = 0

    # What the simulated parts ask

    @property
    def expire_after_s(self) -> float:
        return self.facts.expire_after_s

    def now_ms(self) -> int:
        return T0_MS + int(self.loop.time() * 1000)

    def note(self, who: str, what: str, *arguments: Any) -> None:
        self.history.append(Entry(self.loop.time(), who, what, arguments))

    def later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> None:
        """In the world's own time, whatever becomes of the process that asks."""
        self.loop.call_at(self.loop.time() + seconds, callback, *arguments, context=self._context)

    def new_token(self) -> str:
        return f"owner-{next(self._tokens)}"

    def disk(self, worker: str, table: str, partition: int) -> Store:
        return self._disks[worker, table, partition]

    def subscription(self, shipment_id: str) -> Subscription | None:
        since, subscription = self.facts.subscriptions[shipment_id]
        return subscription if self.loop.time() >= since else None

    async def postgres(self, life: Life, store: Callable[[], list[bool]]) -> list[bool]:
        way = self.choices.take("postgres", 4, 12.0)
        if way == 1:
            self._postgres_away_until = self.loop.time() + 4.0
            self.note("postgres", "is away for 4 s")
        if self.loop.time() < self._postgres_away_until or way == 2:
            raise StorageUnavailable("told to be away")
        stored = store()
        if way == 3:
            self.note("postgres", "has stored, and does not answer")
            raise StorageUnavailable("no answer")
        return stored

    # Processes and their mishaps

    def add(self, role: Role, workers: int) -> None:
        group = self.broker.group(f"herald-{role.name}", role.reads)
        for number in range(workers):
            worker = Worker(f"{role.name}-{number}", role, group)
            self.workers[worker.name] = worker
            self.later(0.0, self._start, worker, None)

    def _start(self, worker: Worker, instead_of: Listener | None) -> None:
        worker.life = Life(self, worker.name)
        worker.listener = worker.role.start(worker.life, worker.group)
        if instead_of is not None and worker.group.take_the_place_of(instead_of, worker.listener):
            self.note(worker.name, "starts again and has its partitions back")
            return
        if instead_of is not None:
            self.note(worker.name, "starts again")
        worker.group.join(worker.listener)

    def is_current(self, life: Life, generation: int) -> bool:
        """Whether the life has, in its group, what it was given in that generation."""
        worker = self.workers[life.name]
        return (
            worker.life is life and worker.listener is not None and worker.group.is_current(worker.listener, generation)
        )

    def generation(self, life: Life) -> int:
        worker = self.workers[life.name]
        return worker.listener.generation if worker.life is life and worker.listener is not None else -1

    def may_strike(self) -> bool:
        if self._mishaps >= MISHAPS:
            return False
        self._mishaps += 1
        return True

    def died(self, life: Life) -> None:
        worker = self.workers[life.name]
        gone = worker.listener
        assert worker.life is life and gone is not None
        self.later(self.session_timeout_s, self._expel, worker.group, gone)
        match self.choices.take(place_name(life.name, "restart"), 3, 2.0):
            case 0:
                self.later(1.0, self._start, worker, gone)
            case 1:
                self.later(1.0, self._start_as_new, worker)
            case _:
                self.later(2 * self.session_timeout_s, self._start_as_new, worker)

    def _start_as_new(self, worker: Worker) -> None:
        self.note(worker.name, "starts again as a new member")
        self._start(worker, None)

    def _expel(self, group: Group, listener: Listener) -> None:
        if group.is_member(listener):
            self.note(listener.life.name, "is expelled from its group")
            group.expel(listener)

    def expire(self, life: Life, since: float) -> None:
        """The coordinator has not heard of the process for a session's time."""
        worker = self.workers[life.name]
        if life.unreachable_since == since and worker.life is life and worker.listener is not None:
            self._expel(worker.group, worker.listener)

    def in_touch(self, life: Life) -> None:
        """The coordinator answers again: whoever was expelled hears so."""
        self.later(NOTICE_S, self._hear, life)

    def _hear(self, life: Life) -> None:
        worker = self.workers[life.name]
        if worker.life is life and worker.listener is not None and not (life.dead or life.frozen or life.cut_off):
            if worker.group.is_member(worker.listener):
                life.heard_at = None
            worker.group.catch_up(worker.listener)

    def ended(self, life: Life, reason: str) -> None:
        if not reason.startswith(("ProduceFailed: told to fail", "TimedOut: told to wait")):
            self.checks.fail(f"{life.name} ended itself: {reason}")

    # The run

    def publish_at(self, seconds: float, publish: Callable[[], object]) -> None:
        self._to_publish += 1
        self.later(seconds, self._publish, publish)

    def _publish(self, publish: Callable[[], object]) -> None:
        publish()
        self._to_publish -= 1

    def run(self) -> None:
        """Raises Violation."""
        asyncio._set_running_loop(None)
        self.later(CALM_AFTER_S, self.choices.calm)
        try:
            at_rest = self.loop.run(self._is_over, REST_WITHIN_S)
            if self.checks.violation is None and not at_rest:
                self.checks.no_rest()
            if self.checks.violation is None:
                self.checks.at_rest()
        finally:
            self.loop.close()
        if self.checks.violation is not None:
            raise self.checks.violation

    def _is_over(self) -> bool:
        return self.checks.violation is not None or (
            not self._to_publish
            and self.broker.is_read_to_the_end()
            and all(self._is_well(worker) for worker in self.workers.values())
            and not self.checks.open_calls()
        )

    @staticmethod
    def _is_well(worker: Worker) -> bool:
        life, listener = worker.life, worker.listener
        return life is not None and not (life.dead or life.frozen or life.cut_off) and worker.group.is_member(listener)


def story(world: World) -> Sequence[str]:
    return [str(entry) for entry in world.history]


__all__ = ["Facts", "Violation", "World", "story"]
