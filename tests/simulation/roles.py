"""What runs in a simulated process? The agents, tables and engine of one role, wired as `app.py` wires them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

import topics
from agents import delay, enrich, send, sending, sink
from agents.aftermath import Aftermath
from agents.circuit_log import CircuitLog
from agents.guard import DeadLetterGuard
from agents.telling import Teller
from pipeline.batching import BatchPolicy
from pipeline.circuit import CircuitPolicy
from pipeline.deadletter_limits import DeadLetterPolicy
from pipeline.delivery import SendPolicy
from pipeline.dispatch import CallPolicy, Dispatch
from pipeline.enrich import EnrichPolicy
from pipeline.events import StatusEvent
from pipeline.notifications import Channel, Lane
from pipeline.ports import StoreResult
from pipeline.rendering import Rendered
from pipeline.retry import RetryPolicy
from pipeline.subscriptions import Recipient, Subscription
from streaming.delay import DelayService
from streaming.engine import Engine
from streaming.halt import Halt
from streaming.inflight import Fetch
from streaming.member import MembersProducer
from streaming.watchdog import Patience
from tables.claims import Claims
from tables.seen import SeenEvents
from tests.fakes import read_to_the_end
from tests.simulation.broker import Group, Listener, SimulatedProducer
from tests.simulation.consumer import SimulatedClient, SimulatedConsumer
from tests.simulation.loop import LIFE
from tests.simulation.provider import CALL_TIMEOUT_S, SimulatedProvider
from tests.simulation.tables import SimulatedTable

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.world import World

TIERS_S = (2.0, 5.0)
PROVIDER = "simulated"
RETRY = RetryPolicy(tiers_s=TIERS_S, attempts=3, total_s=60.0, jitter=0.05)
CALLS = CallPolicy(calls=3, for_urgent=1)
CIRCUIT = CircuitPolicy(failures=2, wait_s=1.0, longest_wait_s=4.0)
BATCHES = BatchPolicy(messages=3, size_bytes=1 << 20, linger_s=0.02)
# Calls that hang outlast it.
DRAIN_TIMEOUT_S = 2.5
# Nothing of a call is on its way for longer, frozen or not.
LATER_S = 60.0
WINDOW = 8
# Less than most turns come to.
AT_ONCE = 5
# A role that halts waits for somebody to look.
DEAD_LETTERS = DeadLetterPolicy(consecutive=1_000_000, ratio=2.0, window=1)
PATIENCE_S = 120.0
WAITS = 2

LANES = tuple(topics.lane(Channel.SMS, lane) for lane in Lane)
TIERS = tuple(topics.retry(tier_s) for tier_s in TIERS_S)


class NoMetrics:
    """Takes whatever is counted."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _ignore


def _ignore(*_: object, **__: object) -> None: ...


class SimulatedStream:
    """What Faust hands to an agent."""

    def __init__(self) -> None:
        self._fetches: deque[Fetch] = deque()
        self._some = asyncio.Event()

    def put(self, fetch: Fetch) -> None:
        self._fetches.append(fetch)
        self._some.set()

    def noack(self) -> "SimulatedStream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        while True:
            while self._fetches:
                yield _Event(self._fetches.popleft())
            self._some.clear()
            await self._some.wait()


@dataclass(frozen=True, slots=True)
class _Event:
    value: Fetch


class SimulatedApp:
    """What a `streaming.app.ConsumerApp` is to agents, tables and the consumer."""

    should_stop = False

    def __init__(self, life: "Life", group: Group) -> None:
        self.life = life
        self.group = group
        self.policy = SimpleNamespace(group=group.name)
        self.metrics: Any = NoMetrics()
        self.halt = Halt(self.metrics.halted)
        self.engine = Engine(drain_timeout_s=DRAIN_TIMEOUT_S, halt=self.halt, is_member=life.is_member, end=life.end)
        self.guard = DeadLetterGuard(DEAD_LETTERS, self.halt)
        self.patience = Patience(PATIENCE_S, clock=life.world.loop.time)
        self.records_out = MembersProducer(
            SimulatedProducer(life), self.engine.membership, lambda: self.engine.assignments
        )
        self.consumer_generation_id = -1
        self.made: list[SimulatedTable] = []
        self._streams: dict[str, SimulatedStream] = {}
        self._agents: list[tuple[Callable[[Any], Awaitable[None]], SimulatedStream]] = []

    def batched_topic(self, *names: str, window: int) -> tuple[str, ...]:
        self.engine.in_flight.share_window(names, window)
        return names

    def agent(self, names: tuple[str, ...], name: str) -> Callable[[Any], Any]:
        def define(body: Callable[[Any], Awaitable[None]]) -> Any:
            stream = SimulatedStream()
            self._streams.update(dict.fromkeys(names, stream))
            self._agents.append((body, stream))
            return body

        return define

    def table(self, name: str) -> SimulatedTable:
        table = SimulatedTable(self, name, topics.changelog(self.group.name, name))
        self.made.append(table)
        return table

    def deliver(self, fetch: Fetch) -> None:
        self._streams[fetch.tp.topic].put(fetch)

    def start_agents(self) -> None:
        for body, stream in self._agents:
            self.life.spawn(body(stream))  # type: ignore[arg-type]


def token(_: int) -> str:
    """In place of `secrets.token_hex`: an owner's name, in the order in which they come."""
    return cast("Life", LIFE.get()).world.new_token()


def new_table(app: SimulatedApp, name: str, **_: object) -> SimulatedTable:
    """In place of `streaming.table.table`."""
    return app.table(name)


def send_policy(*, send_again: bool, key_lifetime_s: float) -> SendPolicy:
    return SendPolicy(retry=RETRY, provider=PROVIDER, send_again=send_again, key_lifetime_s=key_lifetime_s)


class Role(Protocol):
    """Starts the role's code in a life, and returns its member of the group."""

    name: str
    reads: tuple[str, ...]

    def start(self, life: "Life", group: Group) -> Listener: ...


class ConsumerRole:
    """A role on the engine: enrich, send, sink."""

    name: str
    reads: tuple[str, ...]

    def start(self, life: "Life", group: Group) -> Listener:
        app = SimulatedApp(life, group)
        services = self.define(app, life.world)
        consumer = app.fetch_consumer = SimulatedConsumer(life, app, group, app.made)  # type: ignore[attr-defined]

        async def begin() -> None:
            for start in services:
                await start()
            app.start_agents()
            consumer.start()

        life.spawn(begin())
        return consumer

    def define(self, app: Any, world: "World") -> Sequence[Callable[[], Awaitable[None]]]:
        raise NotImplementedError


class WatchedClaims(Claims):
    """Tells the checks from when on a crash must not cause a notification to be told again."""

    def __init__(self, app: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(app, *arguments, **options)
        self._life: Life = app.life
        self._taken: dict[int, Any] = {}

    async def claim(self, offsets: Any) -> Any:
        claimed = await super().claim(offsets)
        self._taken[id(claimed)] = {tp: list(some) for tp, some in offsets.items()}
        return claimed

    async def finish(self, claimed: Any, again: Any) -> None:
        offsets = self._taken.pop(id(claimed))
        await super().finish(claimed, again)
        self._life.world.checks.settled(self._life, offsets)


def watched_read(record: Any, fetch: Fetch, now_ms: int) -> sending.Sending | sending.Unsendable:
    """In place of `agents.sending.read`: the checks learn which record a notification was."""
    read = sending.read(record, fetch, now_ms)
    if isinstance(read, sending.Sending):
        cast("Life", LIFE.get()).world.checks.read(read.notification, fetch.tp, record.offset)
    return read


class SendRole(ConsumerRole):
    name = "send"
    reads = LANES

    def define(self, app: Any, world: "World") -> Sequence[Callable[[], Awaitable[None]]]:
        claims = WatchedClaims(
            app, app.records_out, committed=lambda tp: app.fetch_consumer.committed(tp), clock_ms=world.now_ms
        )
        aftermath = Aftermath(
            app.engine, Channel.SMS, tiers_s=TIERS_S, later_s=LATER_S, read_between=world.broker.read_between
        )
        provider = SimulatedProvider(app.life, world.ledger, BATCHES.messages)
        dispatch: Dispatch[sending.Sending] = Dispatch(BATCHES, CALLS, CIRCUIT)
        circuit_log = CircuitLog(dispatch, Channel.SMS, PROVIDER, app.metrics)
        teller = Teller(
            provider=provider,
            policy=world.policy,
            dispatch=dispatch,
            circuit_log=circuit_log,
            call_timeout_s=CALL_TIMEOUT_S,
            metrics=app.metrics,
            clock_ms=world.now_ms,
            chance=lambda: 0.5,
        )
        sender = send.Sender(
            engine=app.engine,
            out=app.records_out,
            claims=claims,
            aftermath=aftermath,
            teller=teller,
            dispatch=dispatch,
            circuit_log=circuit_log,
            guard=app.guard,
            patience=app.patience,
            metrics=app.metrics,
            clock_ms=world.now_ms,
        )
        send.define(app, sender, claims, aftermath, Channel.SMS, window=WINDOW)
        return [sender.start]


class Texts:
    """A renderer: what texts say is tested elsewhere."""

    def render(self, event: StatusEvent, recipient: Recipient, channel: Channel) -> Rendered:
        return Rendered("", event.event_id, event.kind, 1, "en")


class SubscriptionTable:
    """Who is subscribed, from when on; the world knows."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def get(self, partition: int, shipment_id: str) -> Subscription | None:
        return self._world.subscription(shipment_id)


class EnrichRole(ConsumerRole):
    name = "enrich"
    reads = (topics.STATUS, topics.STATUS_AGAIN)

    def define(self, app: Any, world: "World") -> Sequence[Callable[[], Awaitable[None]]]:
        enricher = enrich.Enricher(
            engine=app.engine,
            out=app.records_out,
            seen=SeenEvents(app, keep_s=1e6),
            subscriptions=SubscriptionTable(world),  # type: ignore[arg-type]
            renderer=Texts(),
            policy=EnrichPolicy(expire_after_s=world.expire_after_s, waits=WAITS),
            tiers_s=TIERS_S,
            partitions=world.broker.partitions,
            catch_up=read_to_the_end,
            guard=app.guard,
            metrics=app.metrics,
            clock_ms=world.now_ms,
            at_once=AT_ONCE,
        )
        enrich.define(app, enricher, window=WINDOW)
        return []


class SimulatedStore:
    """Postgres for one life: the first word wins; it may be away, or store and not say so."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    async def store_outcomes(self, outcomes: Sequence[Any]) -> StoreResult:
        return await self._store([(one.notification_id, one) for one in outcomes], self._life.world.outcome_rows)

    async def store_events(self, events: Sequence[Any]) -> StoreResult:
        return await self._store([(one.source, one) for one in events], self._life.world.event_rows)

    async def _store(self, named: Sequence[tuple[Any, Any]], rows: dict[Any, Any]) -> StoreResult:
        world = self._life.world
        await self._life.step("before its rows reach Postgres")
        await asyncio.sleep(0.01)
        stored = await world.postgres(self._life, lambda: [rows.setdefault(name, row) is row for name, row in named])
        await self._life.step("after Postgres has its rows")
        return StoreResult(sum(stored))


class NoCache:
    async def put_waiting(self, waiting: Any) -> None: ...

    async def put_outcomes(self, outcomes: Any) -> None: ...


class SinkRole(ConsumerRole):
    name = "sink"
    reads = (topics.OUTCOMES, topics.LEDGER, *TIERS)

    def define(self, app: Any, world: "World") -> Sequence[Callable[[], Awaitable[None]]]:
        stage = sink.Sink(
            store=SimulatedStore(app.life),
            cache=NoCache(),
            out=app.records_out,
            patience=app.patience,
            draining=lambda: app.engine.draining,
            guard=app.guard,
            metrics=app.metrics,
            clock_ms=world.now_ms,
        )
        sink.define(app, stage, tiers_s=TIERS_S, window=WINDOW)
        return []


class RetryRole:
    name = "retry"
    reads = TIERS

    def start(self, life: "Life", group: Group) -> Listener:
        world = life.world
        client = SimulatedClient(life, group)
        service = DelayService(
            kafka="",
            group=group.name,
            instance_id=None,
            session_timeout_s=world.session_timeout_s,
            tiers={topics.retry(tier_s): topics.tier_name(tier_s) for tier_s in TIERS_S},
            out=SimulatedProducer(life),
            read=delay.reader(world.now_ms),
            patience=Patience(PATIENCE_S, clock=world.loop.time),
            metrics=NoMetrics(),  # type: ignore[arg-type]
            clock_ms=world.now_ms,
            halt=Halt(life.end),
            end=life.end,
        )
        service._consumer = client  # type: ignore[assignment]
        client.subscribe(TIERS, listener=service)
        life.spawn(service._serve_until_stopped())
        return client
