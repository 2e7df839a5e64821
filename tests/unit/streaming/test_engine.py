"""Units of work, drains, and the end of the process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

import pytest
from faust.types.tuples import TP

from pipeline.halting import HaltCause
from streaming.engine import Drained, Engine, Turn
from streaming.halt import Halt
from streaming.inflight import Fetch
from tests.fakes import Consumed, Membership, turns, until

HERE = TP("topic", 0)


class Ended(BaseException):
    """What `end` raises here in place of ending the process: it must not return."""


class Process:
    """The process that the engine would end."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def end(self, reason: str) -> NoReturn:
        self.reasons.append(reason)
        raise Ended(reason)


class Event:
    def __init__(self, value: Fetch) -> None:
        self.value = value


class Stream:
    """What Faust hands an agent: an endless stream, read with ``noack().events()``."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, *fetches: Fetch) -> None:
        for one in fetches:
            self._events.put_nowait(Event(one))

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self._events.get()


class Agent:
    """An agent's body: keeps each turn, and may be held up or fail."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails: Exception | None = None

    async def __call__(self, fetches: Sequence[Fetch]) -> None:
        self.turns.append([record.offset for fetch in fetches for record in fetch.records])
        await self.open.wait()
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def membership() -> Membership:
    return Membership()


@pytest.fixture
def engine(process: Process, membership: Membership) -> Engine:
    engine = Engine(drain_timeout_s=5.0, halt=Halt(lambda cause: None), is_member=membership, end=process.end)
    engine.in_flight.share_window(["topic"], 100)
    return engine


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def running(engine: Engine, stream: Stream, agent: Agent) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(engine.run(stream, agent))  # type: ignore[arg-type]
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def arrived(engine: Engine, *offsets: int) -> Fetch:
    return engine.in_flight.admit(HERE, [Consumed("topic", 0, offset, None, b"") for offset in offsets])


async def test_what_an_agent_has_done_is_committed(
    engine: Engine, stream: Stream, agent: Agent, running: object
) -> None:
    stream.put(arrived(engine, 0, 1))
    await until(lambda: engine.in_flight.watermarks() == {HERE: 2})
    assert agent.turns == [[0, 1]]


async def test_what_arrives_during_a_turn_makes_the_next_one(
    engine: Engine, stream: Stream, agent: Agent, running: object
) -> None:
    agent.open.clear()
    stream.put(arrived(engine, 0))
    await until(lambda: len(agent.turns) == 1)
    stream.put(arrived(engine, 1), arrived(engine, 2))
    assert engine.in_flight.watermarks() == {}
    agent.open.set()
    await until(lambda: engine.in_flight.watermarks() == {HERE: 3})
    assert agent.turns == [[0], [1, 2]]


async def test_a_turn_may_take_in_what_arrives_during_it(engine: Engine, stream: Stream) -> None:
    gone, first, second = arrived(engine, 0), arrived(engine, 1), arrived(engine, 2)
    come: list[list[int]] = []
    went_on = asyncio.Event()

    async def process(turn: Turn) -> None:
        stream.put(gone, second)
        await went_on.wait()
        come.append([fetch.end for fetch in turn.more()])
        come.append([fetch.end for fetch in turn.more()])

    running = asyncio.create_task(engine.feed(stream, process))  # type: ignore[arg-type]
    stream.put(first)
    await turns()
    gone.live = False
    went_on.set()
    await until(lambda: len(come) == 2)
    await turns()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert come == [[3], []], "what is gone is left out, and nothing is given twice, nor in a turn of its own"


async def test_a_bug_in_an_agent_ends_the_process_and_commits_nothing(
    engine: Engine, stream: Stream, agent: Agent, process: Process, running: asyncio.Task[None]
) -> None:
    agent.fails = KeyError("a bug")
    stream.put(arrived(engine, 0))
    with pytest.raises(Ended):
        await running
    assert process.reasons == ["KeyError: 'a bug'"]
    assert engine.in_flight.watermarks() == {}


async def test_a_turn_that_gives_way_to_a_rebalance_is_not_counted_as_done(
    engine: Engine, stream: Stream, agent: Agent, process: Process, running: asyncio.Task[None]
) -> None:
    agent.fails = Drained("gives way")
    stream.put(arrived(engine, 0))
    await until(lambda: len(agent.turns) == 1)
    agent.fails = None
    engine.reset()
    stream.put(arrived(engine, 0))
    await until(lambda: engine.in_flight.watermarks() == {HERE: 1})
    assert not running.done()
    assert process.reasons == []


async def test_fetches_of_partitions_that_are_gone_do_not_reach_the_agent(
    engine: Engine, stream: Stream, agent: Agent, running: object
) -> None:
    agent.open.clear()
    stream.put(arrived(engine, 0))
    await until(lambda: len(agent.turns) == 1)
    stale = arrived(engine, 1)
    stream.put(stale)
    engine.reset()
    stream.put(arrived(engine, 7))
    agent.open.set()
    await until(lambda: len(agent.turns) == 2)
    assert agent.turns == [[0], [7]]


async def test_a_drain_waits_for_the_turn_under_way_and_lets_no_other_begin(
    engine: Engine, stream: Stream, agent: Agent, running: object
) -> None:
    agent.open.clear()
    stream.put(arrived(engine, 0))
    await until(lambda: len(agent.turns) == 1)
    drain = asyncio.create_task(engine.drain())
    await until(lambda: engine.draining)
    stream.put(arrived(engine, 1))
    agent.open.set()
    await asyncio.wait_for(drain, 5)
    assert engine.in_flight.watermarks() == {HERE: 1}, "what was done before the partitions go is committed"
    engine.reset()
    engine.assigned(frozenset({HERE}))
    stream.put(arrived(engine, 1))
    await until(lambda: len(agent.turns) == 2)
    assert agent.turns == [[0], [1]]


async def test_a_drain_has_a_time_limit(process: Process) -> None:
    engine = Engine(drain_timeout_s=0.01, halt=Halt(lambda cause: None), is_member=lambda: True, end=process.end)
    with engine.work():
        await asyncio.wait_for(engine.drain(), 5)
    assert engine.draining


async def test_a_drain_without_work_is_over_at_once(engine: Engine) -> None:
    await asyncio.wait_for(engine.drain(), 1)


async def test_work_does_not_begin_during_a_drain(engine: Engine) -> None:
    await engine.drain()
    with pytest.raises(Drained), engine.work():
        pytest.fail("began")
    engine.assigned(frozenset({HERE}))
    with engine.work():
        pass


async def test_a_drain_waits_for_every_unit(engine: Engine) -> None:
    with engine.work():
        with engine.work():
            drain = asyncio.create_task(engine.drain())
            await until(lambda: engine.draining)
        await asyncio.sleep(0)
        assert not drain.done()
    await asyncio.wait_for(drain, 5)


async def test_a_unit_that_fails_is_over_too(engine: Engine) -> None:
    with pytest.raises(ValueError, match="failed"), engine.work():
        raise ValueError("failed")
    await asyncio.wait_for(engine.drain(), 1)


async def test_tables_are_taken_over_before_records_flow(engine: Engine) -> None:
    """The hook runs while the engine still drains; only then may work begin."""
    seen: list[tuple[frozenset[TP], bool]] = []
    engine.on_assigned(lambda assigned: seen.append((assigned, engine.draining)))
    await engine.drain()
    engine.assigned(frozenset({HERE}))
    assert (seen, engine.draining) == ([(frozenset({HERE}), True)], False)


async def test_what_waits_is_forgotten_after_the_account_is(engine: Engine) -> None:
    records: list[int] = []
    engine.on_revoked(lambda: records.append(engine.in_flight.records()))
    fetch = arrived(engine, 0)
    engine.reset()
    assert (records, fetch.live) == ([0], False)


async def test_an_exception_beside_an_agent_ends_the_process(engine: Engine, process: Process) -> None:
    async def broken() -> None:
        raise RuntimeError("broken")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio reports what `end` raises here in place of ending
    engine.spawn(broken())
    await until(lambda: process.reasons == ["RuntimeError: broken"])


async def test_giving_way_beside_an_agent_ends_nothing(engine: Engine, process: Process) -> None:
    async def gives_way() -> None:
        raise Drained("gives way")

    task = engine.spawn(gives_way())
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert process.reasons == []


async def test_a_worker_that_the_group_has_given_up_begins_nothing(
    engine: Engine, membership: Membership, stream: Stream, agent: Agent, running: object
) -> None:
    membership.held = False
    stream.put(arrived(engine, 0))
    await turns()
    assert agent.turns == []
    membership.held = True
    await until(lambda: agent.turns == [[0]])


async def test_partitions_that_go_while_the_group_is_silent_end_the_wait(
    engine: Engine, membership: Membership
) -> None:
    membership.held = False
    waiting = asyncio.create_task(engine.membership())
    await turns()
    assert not waiting.done()
    await engine.drain()
    with pytest.raises(Drained):
        await asyncio.wait_for(waiting, 5)


async def test_a_halt_lets_what_has_begun_end_and_begins_nothing(
    engine: Engine, stream: Stream, agent: Agent, running: object
) -> None:
    agent.open.clear()
    stream.put(arrived(engine, 0))
    await until(lambda: agent.turns == [[0]])
    engine.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
    engine.halt.begin(HaltCause.RECORDS_LOST, "and more")
    stream.put(arrived(engine, 1))
    agent.open.set()
    await until(lambda: engine.in_flight.watermarks() == {HERE: 1})
    await turns()
    assert agent.turns == [[0]]
    assert engine.halt.reason == "too many dead letters; and more"
