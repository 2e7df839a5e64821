"""What does a provider do with a call? Anything: answer late, half, wrongly or never, having told people or not.

Its `Ledger` is what happened in the world: whom it told, how often, and what the workers could know of it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Channel, Notification
from pipeline.ports import Accepted, SendResult

if TYPE_CHECKING:
    from tests.simulation.life import Life

QUICK_S, SLOW_S = 0.03, 1.5
CALL_TIMEOUT_S = 2.0
ON_THE_WAY_S = 20.0


@dataclass
class Ledger:
    """Of the provider, for all workers; by notification id."""

    key_lifetime_s: float
    told: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    references: dict[str, tuple[float, str]] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    down_until: float = 0.0

    def tell(self, notification: Notification, now: float) -> Accepted:
        first_at, reference = self.references.get(notification.id, (0.0, ""))
        # A call that was held up on its way may come a little after its key has died.
        if reference and self.key_lifetime_s and now < first_at + self.key_lifetime_s + ON_THE_WAY_S:
            return Accepted(reference)
        self.told[notification.id] += 1
        reference = f"{notification.id}/{self.told[notification.id]}"
        self.references[notification.id] = (now, reference)
        self.given.add(reference)
        return Accepted(reference)


class SimulatedProvider:
    """The adapter of one life (`pipeline.ports.Provider`)."""

    name = "simulated"
    channel = Channel.SMS
    max_calls = 100

    def __init__(self, life: "Life", ledger: Ledger, max_messages: int) -> None:
        self._life = life
        self._ledger = ledger
        self.max_messages = max_messages
        self.key_lifetime_s = ledger.key_lifetime_s

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        life, world = self._life, self._life.world
        checks = world.checks
        checks.called(life, notifications)
        try:
            await life.step("before its call reaches the provider")
            results = await self._answer(notifications)
            await life.step("after the provider has dealt with its call")
        except (Exception, asyncio.CancelledError):
            checks.in_doubt(life, notifications)
            raise
        world.note(life.name, "was answered: %s", lambda: _shown(notifications, results))
        checks.answered(life, notifications, results)
        return results

    async def _answer(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:  # noqa: C901 a table
        world, ledger = self._life.world, self._ledger
        if world.loop.time() < ledger.down_until:
            await asyncio.sleep(QUICK_S)
            return [Unavailable("connection refused") for _ in notifications]
        way = world.choices.take("provider.call", 14, 5.0)
        await asyncio.sleep(SLOW_S if way == 1 else QUICK_S)
        match way:
            case 0 | 1:
                return [ledger.tell(one, world.loop.time()) for one in notifications]
            case 2:
                return [TransientError("busy") for _ in notifications]
            case 3:
                return [Throttled("slow down", retry_after_s=3.0) for _ in notifications]
            case 4:
                return [PermanentError("no such number") for _ in notifications]
            case 5 | 6:
                return [self._one(one) for one in notifications]
            case 7:
                return [Unconfirmed("connection reset") for _ in notifications]
            case 8:
                for one in notifications:
                    ledger.tell(one, world.loop.time())
                return [Unconfirmed("connection reset") for _ in notifications]
            case 9:
                raise RuntimeError("a bug in the adapter, before the call")
            case 10:
                for one in notifications:
                    ledger.tell(one, world.loop.time())
                raise RuntimeError("a bug in the adapter, after the call")
            case 11:
                world.later(CALL_TIMEOUT_S * 2, lambda: [ledger.tell(one, world.loop.time()) for one in notifications])
                await asyncio.sleep(3600)
                raise AssertionError("nobody waits so long")
            case 12:
                for one in notifications:
                    ledger.tell(one, world.loop.time())
                return [Accepted("of another")] * (len(notifications) - 1)
            case _:
                ledger.down_until = world.loop.time() + 6.0
                world.note("provider", "is down for 6 s")
                return [Unavailable("connection refused") for _ in notifications]

    def _one(self, notification: Notification) -> SendResult:
        match self._life.world.choices.take("provider.one", 6, 2.0):
            case 1:
                return TransientError("busy")
            case 2:
                return PermanentError("no such number")
            case 3:
                return Throttled("slow down")
            case 4:
                return Unconfirmed("lost")
            case 5:
                self._ledger.tell(notification, self._life.world.loop.time())
                return Unconfirmed("lost")
            case _:
                return self._ledger.tell(notification, self._life.world.loop.time())


def _shown(notifications: Sequence[Notification], results: Sequence[SendResult]) -> str:
    return ", ".join(
        f"{one.id[:8]} {type(result).__name__}" for one, result in zip(notifications, results, strict=False)
    )
