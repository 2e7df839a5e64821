"""What must never happen, and what must have happened in the end?

While it runs
    - nothing is committed whose effects are not durable
    - an event is noted as seen only when its notifications and its line in the ledger are durable
    - nothing comes back from a tier before it is due
    - a record is taken into a call again only if its worker died, leaving it in doubt, and the policy is to tell again
    - nor if what became of it was to be read when its partition was taken over
    - an attempt that stands on the lane twice is made once
    - no stranger begins a call
    - no process ends itself but for a broker that fails it
In the end
    - everything is read, in time
    - every event is in the ledger, every notification has an outcome
    - Postgres has the first word of each topic, and nothing else: one row for each
    - `sent` was accepted by the provider; what says "not told" was not told
    - nobody was told twice, but where the policy is to tell again: once more for each call that left doubt
    - no outcome took more attempts than there are

A stranger is a worker that has been expelled and does not know it yet.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec
from faust.types.tuples import TP

import topics
from agents.turn import source_of
from pipeline import trail as trails
from pipeline.enrich import SeenRow
from pipeline.errors import Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.ledger import Disposition, EventRecord, Source
from pipeline.notifications import Channel, Lane, Notification
from pipeline.outcomes import Outcome, Status
from pipeline.ports import SendResult
from pipeline.trail import Trail

if TYPE_CHECKING:
    from tests.simulation.broker import Consumed
    from tests.simulation.life import Life
    from tests.simulation.world import World

NOT_TOLD = frozenset({Status.TEMPORARY_FAILURE, Status.EXPIRED, Status.TECHNICAL_FAILURE})
LANES = frozenset(topics.lane(Channel.SMS, lane) for lane in Lane)

notification_of = msgspec.json.Decoder(Notification)
outcome_of = msgspec.json.Decoder(Outcome)
entry_of = msgspec.json.Decoder(EventRecord)
seen_of = msgspec.json.Decoder(SeenRow)


class Violation(AssertionError):
    """The schedule shows that a promise does not hold."""


@dataclass(slots=True, eq=False)
class Call:
    """One notification in one provider call.

    ``attempt`` is what came before it. ``settled``: what follows from it is durable, and that nothing else must.
    """

    life: "Life"
    generation: int
    at: tuple[TP, int]
    attempt: tuple[int, int]
    made_at: float
    result: SendResult | None = None
    settled: bool = False

    @property
    def doubt(self) -> int:
        """How often more somebody may be told for it: by a successor, and by what its worker makes of the answer."""
        return 2 if not self.settled else int(isinstance(self.result, Unconfirmed))

    def __str__(self) -> str:
        answer = "no answer" if self.result is None else repr(self.result)
        return f"{answer}, {'settled' if self.settled else 'not settled'}, by {self.life.name}"


class Checks:
    """Sees everything that becomes durable and every call; keeps the first violation."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.violation: Violation | None = None
        self.on_lane: dict[str, list[tuple[TP, int]]] = defaultdict(list)
        self.outcomes: dict[str, Outcome] = {}
        self.ledger: dict[Source, EventRecord] = {}
        self.published: set[Source] = set()
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self._waits: dict[str, list[Trail]] = defaultdict(list)
        self._again: dict[Source, list[Trail]] = defaultdict(list)
        self._at: dict[tuple[TP, int], str] = {}
        self._attempts: dict[tuple[TP, int], tuple[int, int]] = {}
        self._by_strangers: set[str] = set()
        self._known: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._read: dict[int, tuple[Notification, tuple[TP, int]]] = {}

    def fail(self, what: str) -> None:
        if self.violation is None:
            self._world.note("VIOLATION", what.replace("%", "%%"))
            self.violation = Violation(what)

    # What became durable

    def appended(self, tp: TP, record: "Consumed", by: "Life | None") -> None:
        topic = tp.topic
        if topic in LANES:
            self._on_lane(tp, record)
        elif topic.startswith("herald.retry."):
            self._on_tier(record)
        elif topic == topics.OUTCOMES:
            self._on_outcomes(record, by)
        elif topic == topics.LEDGER:
            entry = entry_of.decode(record.value or b"")
            if self.ledger.setdefault(entry.source, entry).first_seen_at != entry.first_seen_at:
                self.fail(f"two rows for {entry.source}, seen first at two times")
        elif topic == topics.STATUS_AGAIN:
            trail = self._trail(record)
            self._not_early(trail)
            self._again[source_of(trail)].append(trail)
        elif topic == topics.STATUS:
            self.published.add(Source(**self._coordinates(record)))
        elif topic.endswith("-claims-changelog"):
            self._world.note(by.name if by else "", "row of %s: %s", record.key, record.value)
        elif topic.endswith("-seen-changelog"):
            self._is_told(seen_of.decode(record.value or b"").source, "noted as seen")

    def _on_outcomes(self, record: "Consumed", by: "Life | None") -> None:
        outcome = outcome_of.decode(record.value or b"")
        id = outcome.notification_id
        self._known[id].append((self._world.loop.time(), inf))
        if id in self.outcomes:
            if self.outcomes[id].first_seen_at != outcome.first_seen_at:
                self.fail(f"two rows for {id[:8]}, seen first at two times")
            return
        self.outcomes[id] = outcome
        self._world.note("outcome", "%s: %s (%s)", id[:8], outcome.status, outcome.reason)
        if by is not None and self._is_stranger(by):
            self._by_strangers.add(id)

    def _on_lane(self, tp: TP, record: "Consumed") -> None:
        id = notification_of.decode(record.value or b"").id
        trail = self._trail(record)
        self._not_early(trail)
        self._world.note(
            "broker", "%s after %d attempts is offset %d of %s-%d", id[:8], trail.attempts, record.offset, *tp
        )
        self.on_lane[id].append((tp, record.offset))
        self._at[tp, record.offset] = id
        self._attempts[tp, record.offset] = (trail.attempts, trail.due_ms)

    def _on_tier(self, record: "Consumed") -> None:
        trail = self._trail(record)
        if trail.target == topics.STATUS_AGAIN:
            self._again[source_of(trail)].append(trail)
        else:
            id = notification_of.decode(record.value or b"").id
            self._waits[id].append(trail)
            self._known[id].append((self._world.loop.time(), trail.due_ms))

    def _trail(self, record: "Consumed") -> Trail:
        return trails.read(record.headers, self._world.now_ms())

    def _not_early(self, trail: Trail) -> None:
        if trail.due_ms > self._world.now_ms():
            self.fail(f"back {trail.due_ms - self._world.now_ms()} ms before it was due")

    def _is_told(self, source: Source, what: str) -> None:
        entry = self.ledger.get(source)
        if entry is None:
            self.fail(f"{what}, and not in the ledger: {source}")
        elif entry.disposition is Disposition.ACCEPTED:
            for born in entry.notifications:
                if born.id not in self.on_lane and born.id not in self.outcomes:
                    self.fail(f"{what}, and the notification of {born.recipient} is nowhere: {source}")

    # What was committed

    def committed(self, group: str, tp: TP, before: int, offset: int) -> None:
        log = self._world.broker.logs[tp]
        if offset > len(log):
            self.fail(f"{group} commits {offset} of {tp}, which ends at {len(log)}")
        for record in log[before:offset]:
            if not self._is_done(group, tp, record):
                self.fail(
                    f"{group} commits over offset {record.offset} of {tp.topic}-{tp.partition}, which is not done"
                )

    def _is_done(self, group: str, tp: TP, record: "Consumed") -> bool:
        if group == "herald-sink":
            return self._is_stored(tp.topic, record)
        trail = self._trail(record)
        if tp.topic in LANES:
            id = notification_of.decode(record.value or b"").id
            return id in self.outcomes or any(wait.due_ms > trail.due_ms for wait in self._waits[id])
        if tp.topic.startswith("herald.retry."):
            return self._is_returned(record, trail)
        source = source_of(trail) if trail.origin_topic else Source(**self._coordinates(record))
        if any(one.attempts > trail.attempts or tp.topic == topics.STATUS for one in self._again.get(source, ())):
            return True  # sent on: somebody else's to deal with
        if source in self.ledger:
            self._is_told(source, "committed")
        return source in self.ledger

    @staticmethod
    def _coordinates(record: "Consumed") -> dict[str, Any]:
        return {"topic": record.topic, "partition": record.partition, "offset": record.offset}

    def _is_stored(self, topic: str, record: "Consumed") -> bool:
        if topic == topics.OUTCOMES:
            return outcome_of.decode(record.value or b"").notification_id in self._world.outcome_rows
        if topic == topics.LEDGER:
            return entry_of.decode(record.value or b"").source in self._world.event_rows
        return True

    def _is_returned(self, record: "Consumed", trail: Trail) -> bool:
        if trail.target == topics.STATUS_AGAIN:
            come = self._again[source_of(trail)]
            return any((one.attempts, one.due_ms, one.target) == (trail.attempts, trail.due_ms, "") for one in come)
        id = notification_of.decode(record.value or b"").id
        return any(
            (one.attempts, one.due_ms) == (trail.attempts, trail.due_ms)
            for one in (self._trail(self._world.broker.logs[tp][offset]) for tp, offset in self.on_lane[id])
        )

    # What was told

    def read(self, notification: Notification, tp: TP, offset: int) -> None:
        """A send role has this object in place of the record."""
        self._read[id(notification)] = (notification, (tp, offset))

    def called(self, life: "Life", notifications: Sequence[Notification]) -> None:
        generation, stranger = self._world.generation(life), self._is_stranger(life)
        for one in notifications:
            at = self._read[id(one)][1]
            call = Call(life, generation, at, self._attempts[at], self._world.loop.time())
            if stranger:
                self.fail(f"{life.name} has been expelled, and calls for {one.id[:8]}")
            may_again = self._world.policy.may_send_again(one, self._world.now_ms())
            for before in self.calls[one.id]:
                if not self._may_follow(before, call, may_again):
                    self.fail(f"{one.id[:8]} is told again by {life.name}; before: {before}")
            self.calls[one.id].append(call)

    def _may_follow(self, before: Call, call: Call, may_again: bool) -> bool:
        if before.at == call.at:
            if isinstance(before.result, Unavailable):
                return True  # certainly not told: it cost nothing, and went back in line
            return may_again and not before.settled and self._is_lost(before) and not self._was_known(before, call)
        if before.attempt == call.attempt:
            return False
        # What its own worker, not knowing that it is lost, made of an answer that says "not told".
        return may_again or any(isinstance(one.result, TransientError) for one in self.calls[self._at[call.at]])

    def _was_known(self, before: Call, call: Call) -> bool:
        """Whether what became of the call before was durable when the caller took the partition over."""
        opened_at = self._world.workers[call.life.name].listener.opened_at  # type: ignore[union-attr]
        known = self._known[self._at[call.at]]
        return any(before.made_at <= at < opened_at and due_ms > call.attempt[1] for at, due_ms in known)

    def _is_stranger(self, life: "Life") -> bool:
        return not self._world.is_current(life, self._world.generation(life))

    def _is_lost(self, call: Call) -> bool:
        """Its worker cannot make its answer durable in the name of the group any more."""
        return call.life.dead or not self._world.is_current(call.life, call.generation)

    def answered(self, life: "Life", notifications: Sequence[Notification], results: Sequence[SendResult]) -> None:
        """The worker has the answer."""
        if len(results) != len(notifications):
            self.in_doubt(life, notifications)
            return
        for one, result in zip(notifications, results, strict=True):
            self._call(life, one).result = result

    def in_doubt(self, life: "Life", notifications: Sequence[Notification]) -> None:
        """The worker has waited for an answer in vain."""
        for one in notifications:
            self._call(life, one).result = Unconfirmed("no answer")

    def _call(self, life: "Life", one: Notification) -> Call:
        at = self._read[id(one)][1]
        return next(call for call in reversed(self.calls[one.id]) if call.life is life and call.at == at)

    def settled(self, life: "Life", offsets: Mapping[TP, Sequence[int]]) -> None:
        """A crash of this worker can no longer cause these records to be told again."""
        for tp, some in offsets.items():
            for offset in some:
                for call in self.calls[self._at[tp, offset]]:
                    if call.life is life and call.at == (tp, offset):
                        call.settled = not self._is_lost(call)

    def open_calls(self) -> bool:
        """Whether a living worker still waits for a provider's answer, or for its outcome to be durable."""
        return any(not call.settled and not self._is_lost(call) for calls in self.calls.values() for call in calls)

    # In the end

    def no_rest(self) -> None:
        ends = [
            f"{group.name} is at {group.committed.get(tp, 0)} of {self._world.broker.end(tp)} in {topic}-{partition}"
            for group in self._world.broker.groups.values()
            for topic in group.topics
            for partition in range(self._world.broker.partitions)
            if group.committed.get(tp := TP(topic, partition), 0) < self._world.broker.end(tp)
        ]
        self.fail(f"does not come to rest: {'; '.join(ends) or 'nothing is unread'}")

    def at_rest(self) -> None:
        for source in self.published - self.ledger.keys():
            self.fail(f"no line in the ledger for {source}")
        born = {one.id for entry in self.ledger.values() for one in entry.notifications}
        for id in born | self.on_lane.keys():
            if id not in self.outcomes and "send-0" in self._world.workers:
                self.fail(f"no outcome of {id}")
        if "sink-0" in self._world.workers:
            self._are_stored()
        for outcome in self.outcomes.values():
            self._is_honest(outcome)

    def _are_stored(self) -> None:
        if self._world.outcome_rows != self.outcomes:
            self.fail("Postgres has other outcomes than the topic's first words")
        if self._world.event_rows != self.ledger:
            self.fail("Postgres has another ledger than the topic's first words")

    def _is_honest(self, outcome: Outcome) -> None:
        id, told = outcome.notification_id, self._world.ledger.told.get(outcome.notification_id, 0)
        calls = self.calls.get(id, [])
        if outcome.status is Status.SENT and outcome.provider_reference not in self._world.ledger.given:
            self.fail(f"{outcome.notification_id[:8]} is `sent`, and the provider knows nothing of it")
        if outcome.attempts > self._world.attempts:
            self.fail(f"{outcome.notification_id[:8]} took {outcome.attempts} attempts")
        doubt = sum(call.doubt for call in calls)
        if told > 1 + (doubt if self._world.policy.send_again else 0):
            self.fail(f"{id[:8]} was told {told} times; calls: {'; '.join(map(str, calls))}")
        # The provider's word on a later attempt is taken for all of them.
        says_not_told = outcome.status in NOT_TOLD or (outcome.status is Status.PERMANENT_FAILURE and not doubt)
        if told and says_not_told and id not in self._by_strangers and all(call.settled for call in calls):
            self.fail(f"{id[:8]} was told {told} times, and its outcome is {outcome.status}")
        spent = sum(not isinstance(call.result, Throttled | Unavailable) for call in calls)
        if spent > self._world.attempts and all(call.settled for call in calls):
            self.fail(f"{id[:8]} took {spent} attempts; calls: {'; '.join(map(str, calls))}")
