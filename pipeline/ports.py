"""What the pipeline asks of the outside world: each Protocol has one contract suite in ``tests``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from pipeline.errors import DeliveryError
from pipeline.ledger import EventRecord
from pipeline.notifications import Channel, Notification
from pipeline.outcomes import Outcome


class Accepted(msgspec.Struct, frozen=True):
    """The provider took responsibility; ``reference`` is its own id of the message, for later questions."""

    reference: str


SendResult = Accepted | DeliveryError


class Provider(Protocol):
    """A way to send on one channel: up to ``max_messages`` in a call, up to ``max_calls`` calls at once.

    A message that is sent again under the same notification id within ``key_lifetime_s`` of the first time is not told
    twice; 0 where the provider has no idempotency.
    """

    name: str
    channel: Channel
    max_messages: int
    max_calls: int
    key_lifetime_s: float

    async def start(self) -> None:
        """Open connections lazily: an unreachable provider is no reason not to start."""
        ...

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        """Send up to ``max_messages``; one result each, in order, within the provider's own timeout (≤ 10 s).

        Messages to one recipient reach the provider in the order given. Never raises for what the provider or the
        network does: a call that failed as a whole gives its error as the result of each item that it concerns.
        """
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rejected:
    """``index`` counts the records of the batch as it was given."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoreResult:
    """``stored`` counts what was new; neither it nor ``rejected`` counts what had been stored before."""

    stored: int
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification between two attempts: ``attempts`` were made, the last ended in ``problem``."""

    notification: Notification
    attempts: int
    due_at: datetime
    problem: str | None


class OutcomeStore(Protocol):
    """The durable account. Every call may be repeated; raises StorageUnavailable, and nothing else."""

    async def store_outcomes(self, outcomes: Sequence[Outcome]) -> StoreResult: ...

    async def store_events(self, events: Sequence[EventRecord]) -> StoreResult: ...


class StatusStore(Protocol):
    """The latest statuses, for speed alone; raises CacheUnavailable, and nothing else."""

    async def put_waiting(self, waiting: Iterable[Waiting]) -> None: ...

    async def put_outcomes(self, outcomes: Iterable[tuple[str, bytes]]) -> None:
        """Each by its notification's id, as JSON: the value of its record in Kafka, which nobody need write anew."""
        ...
