"""What does Kafka do? Logs of partitions, offsets that groups commit, groups that share partitions out.

What was appended stays and is in order. An append may happen without its acknowledgement reaching anybody; a commit
of an older generation is refused, a record from an expelled worker is not.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from faust.types.tuples import TP

import topics
from streaming.member import stale_after
from streaming.producer import ProduceFailed, Record, TimedOut
from tests.simulation.choices import place_name

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.world import World

ACK_S = 0.004
# Between "at once" and nearly the time at which a producer gives up.
SLOW_S = (0.05, 0.4, 3.0)
REBALANCE_S = 0.1
NOTICE_S = 0.2
REBALANCE_TIMEOUT_S = 30.0


class Consumed(NamedTuple):
    """An aiokafka ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int
    timestamp_type: int = 0


class _Message:
    """A confluent_kafka Message."""

    def __init__(self, record: Consumed) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        return self._record.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp


class Broker:
    """Everything that becomes durable here is shown to the checks at once."""

    def __init__(self, world: "World", partitions: int) -> None:
        self._world = world
        self.partitions = partitions
        self.logs: dict[TP, list[Consumed]] = defaultdict(list)
        self.groups: dict[str, Group] = {}
        self._readers: dict[str, list[Callable[[], None]]] = defaultdict(list)

    def append(self, record: Record, by: "Life | None" = None) -> TP:
        partition = record.partition
        if partition < 0:
            partition = topics.partition_of(record.key or b"", self.partitions)
        tp = TP(record.topic, partition)
        log = self.logs[tp]
        kept = Consumed(
            record.topic,
            partition,
            len(log),
            record.key,
            record.value,
            record.headers or (),  # type: ignore[arg-type]
            self._world.now_ms(),
        )
        log.append(kept)
        self._world.checks.appended(tp, kept, by)
        for group in self._readers[record.topic]:
            group()
        return tp

    def end(self, tp: TP) -> int:
        return len(self.logs[tp]) if tp in self.logs else 0

    async def read_between(self, names: Sequence[str], begin_ms: int, end_ms: int, note: Callable[[Any], None]) -> None:
        """As `streaming.between.read_between`: to where the topics end when it begins."""
        tail = [
            record
            for tp, log in sorted(self.logs.items())
            if tp.topic in names
            for record in log
            if begin_ms <= record.timestamp < end_ms
        ]
        await asyncio.sleep(ACK_S)
        for record in tail:
            note(_Message(record))

    def group(self, name: str, read: Sequence[str]) -> "Group":
        self.groups[name] = group = Group(self._world, name, read)
        for topic in read:
            self._readers[topic].append(group.wake)
        return group

    def is_read_to_the_end(self) -> bool:
        return all(
            group.committed.get(TP(topic, partition), 0) >= self.end(TP(topic, partition))
            for group in self.groups.values()
            for topic in group.topics
            for partition in range(self.partitions)
        )


class SimulatedProducer:
    """A `streaming.producer.Producer` of one life."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        """As the real one. Of a batch that fails, goes stale, or whose sender dies, any beginning may be durable."""
        if not records:
            return {}
        life, world = self._life, self._life.world
        await life.step("before it produces")
        way = world.choices.take(place_name(life.name, "produce"), 8, 60.0)
        if way >= 5:
            kept = world.choices.take(place_name(life.name, "kept"), len(records) + 1, 2.0)
            word = "fails" if way == 5 else "goes stale"
            world.note(life.name, "its produce %s: %d of %d records are kept", word, kept, len(records))
            self._land(records[:kept])
            if way == 5:
                raise ProduceFailed("told to fail")
            if way == 6:
                await asyncio.sleep(stale_after(world.session_timeout_s))
            else:
                await life.freeze("while its records wait")
            raise TimedOut("told to wait")
        offsets: dict[int, int] = {}
        landed = world.loop.create_future()

        def land() -> None:
            offsets.update(self._land(records))
            if not landed.done():
                landed.set_result(None)

        if way in (0, 4):
            world.later(ACK_S, land)
        else:
            world.later(SLOW_S[way - 1], land)
        await landed
        if way == 4:
            await life.step("after its records are durable, before it knows")
        await life.step("after it has produced")
        return offsets

    def _land(self, records: Sequence[Record]) -> dict[int, int]:
        broker = self._life.world.broker
        offsets: dict[int, int] = {}
        for record in records:
            tp = broker.append(record, self._life)
            offsets[tp.partition if record.partition < 0 else record.partition] = broker.end(tp) - 1
        return offsets


class Listener(Protocol):
    """A member's side of the group protocol; called in the world's time, not the member's."""

    life: "Life"

    @property
    def generation(self) -> int: ...

    def revoke(self) -> None:
        """Give the partitions up, then call `Group.ready`."""

    def assign(self, assigned: frozenset[TP], generation: int) -> None: ...

    def wake(self) -> None:
        """There may be something to read."""


class Group:
    """A consumer group, eager: everybody gives everything up, then partitions are shared out anew."""

    def __init__(self, world: "World", name: str, read: Sequence[str]) -> None:
        self._world = world
        self.name = name
        self.topics = tuple(read)
        self.committed: dict[TP, int] = {}
        self.generation = 0
        self.members: list[Listener] = []
        self.owners: dict[TP, Listener] = {}
        self._ready: list[Listener] = []
        self._rebalancing = False
        self._round = 0

    def wake(self) -> None:
        for member in self.members:
            member.wake()

    def join(self, listener: Listener) -> None:
        if listener not in self.members:
            self.members.append(listener)
        self._ready.append(listener)
        self._rebalance()

    def take_the_place_of(self, gone: Listener, listener: Listener) -> bool:
        """Static membership: who comes back under the same name has the same partitions, and nobody else notices."""
        if gone not in self.members or self._rebalancing:
            return False
        self.members[self.members.index(gone)] = listener
        mine = frozenset(tp for tp, owner in self.owners.items() if owner is gone)
        self.owners.update(dict.fromkeys(mine, listener))
        self._world.later(REBALANCE_S, listener.assign, mine, self.generation)
        return True

    def expel(self, listener: Listener) -> None:
        if listener in self.members:
            self.members.remove(listener)
            if listener in self._ready:
                self._ready.remove(listener)
            self.owners = {tp: owner for tp, owner in self.owners.items() if owner is not listener}
            self._rebalance()

    def catch_up(self, listener: Listener) -> None:
        """Tell a member that was out of reach what it has missed."""
        if listener not in self.members or (self._rebalancing and listener not in self._ready):
            listener.revoke()

    def ready(self, listener: Listener) -> None:
        """Everything is given up, or there was nothing."""
        if listener in self.members and listener not in self._ready:
            self._ready.append(listener)
        self._complete_soon()

    def _rebalance(self) -> None:
        if not self._rebalancing:
            self._rebalancing = True
            self._round += 1
            for member in self.members:
                if member not in self._ready:
                    self._world.later(NOTICE_S, self._ask, member, self._round)
            self._world.later(REBALANCE_TIMEOUT_S, self._go_on_without, self._round)
        self._complete_soon()

    def _ask(self, member: Listener, number: int) -> None:
        life = member.life
        waited_for = self._rebalancing and number == self._round and member in self.members
        if waited_for and member not in self._ready and not (life.dead or life.cut_off):
            member.revoke()

    def _complete_soon(self) -> None:
        if self._rebalancing:
            self._world.later(REBALANCE_S, self._complete, self._round)

    def _go_on_without(self, number: int) -> None:
        if self._rebalancing and number == self._round:
            self.members = [member for member in self.members if member in self._ready]
            self._complete(number)

    def _complete(self, number: int) -> None:
        if not self._rebalancing or number != self._round or not self.members:
            return
        if any(member not in self._ready for member in self.members):
            return
        self._rebalancing = False
        self._ready.clear()
        self.generation += 1
        self.owners = {
            TP(topic, partition): self.members[(partition + self.generation) % len(self.members)]
            for topic in self.topics
            for partition in range(self._world.broker.partitions)
        }
        self._world.note(self.name, "generation %d: %s", self.generation, self._shares())
        for member in self.members:
            mine = frozenset(tp for tp, owner in self.owners.items() if owner is member)
            self._world.later(0.0, self._tell, member, mine, self.generation)

    def _shares(self) -> str:
        shares: dict[str, set[int]] = {member.life.name: set() for member in self.members}
        for tp, owner in self.owners.items():
            shares[owner.life.name].add(tp.partition)
        return ", ".join(f"{name} has {sorted(some)}" for name, some in sorted(shares.items()))

    def _tell(self, member: Listener, assigned: frozenset[TP], generation: int) -> None:
        if generation == self.generation and not member.life.dead:
            if member.life.unreachable_since is None:
                member.life.heard_at = None
            member.assign(assigned, generation)

    def is_member(self, listener: Listener) -> bool:
        return listener in self.members

    def is_current(self, listener: Listener, generation: int) -> bool:
        return listener in self.members and generation == self.generation

    def commit(self, listener: Listener, generation: int, offsets: Mapping[TP, int]) -> bool:
        if not self.is_current(listener, generation):
            self._world.note(listener.life.name, "commit refused: %s", _shown(offsets))
            return False
        for tp, offset in offsets.items():
            self._world.checks.committed(self.name, tp, self.committed.get(tp, 0), offset)
            self.committed[tp] = offset
        return True


def _shown(offsets: Mapping[TP, int]) -> str:
    return ", ".join(f"{tp.topic}-{tp.partition} at {offset}" for tp, offset in sorted(offsets.items()))
