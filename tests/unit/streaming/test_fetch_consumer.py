"""What is asked for is what there is room for; caught up is who has finished all that the last fetch knew of."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types.tuples import TP
from mode import Service

from pipeline.halting import HaltCause
from streaming import consumer as module
from streaming.consumer import ON_ITS_WAY_S, POLL_WHILE_FULL_S, FetchConsumer
from streaming.engine import Drained
from streaming.halt import Halt
from streaming.inflight import Fetch, InFlight
from tests.fakes import Clock, Consumed, turns

BULK, NEXT_BULK, URGENT, CHANGELOG = TP("bulk", 0), TP("bulk", 1), TP("urgent", 0), TP("changelog", 0)
EVERY = {BULK, NEXT_BULK, URGENT, CHANGELOG}
LIMIT = 2
TIMEOUT_S = 60.0
FETCHED = {BULK: ["a record"]}


class Thread:
    """Faust's, for the client: keeps what it is asked for and has always `FETCHED`."""

    def __init__(self) -> None:
        self.asked: list[tuple[set[TP], float]] = []
        self.highwaters: dict[TP, int] = {}

    async def getmany(self, partitions: set[TP], timeout: float) -> Any:  # noqa: ASYNC109 as Faust names it
        self.asked.append((set(partitions), timeout))
        return FETCHED

    def highwater(self, tp: TP) -> int | None:
        return self.highwaters.get(tp)


class Consumer(FetchConsumer):
    """Open for every partition, with a window of ``LIMIT`` records for each lane."""

    def __init__(self) -> None:
        Service.__init__(self)
        self.in_flight = InFlight()
        for lane in (BULK, URGENT):
            self.in_flight.share_window([lane.topic], LIMIT)
        self.app = SimpleNamespace(  # type: ignore[assignment]
            engine=SimpleNamespace(in_flight=self.in_flight, draining=False), halt=Halt(lambda cause: None)
        )
        self.thread = self._thread = Thread()  # type: ignore[assignment]
        self.suspend_flow = asyncio.Event()
        self._open = frozenset(EVERY - {CHANGELOG})
        self._committed = {}
        self._past = {}
        # Where aiokafka reads next.
        self.at: dict[TP, int] = {}

    async def is_caught_up(self, tp: TP) -> bool:
        """Without a wait."""
        return await self.catch_up(tp.topic, [tp.partition], 0.0)

    def _position(self, tp: TP) -> int:
        return self.at.get(tp, 0)

    def takes_in(self, tp: TP, *offsets: int) -> Fetch:
        return self.in_flight.admit(tp, [Consumed(*tp, offset, None, b"") for offset in offsets])

    def fill(self, *lanes: TP) -> list[Fetch]:
        return [self.takes_in(lane, *range(LIMIT)) for lane in lanes]

    def finishes(self, tp: TP, *offsets: int) -> None:
        self.in_flight.finish(self.takes_in(tp, *offsets), len(offsets))


@pytest.fixture
async def consumer() -> Consumer:
    return Consumer()


async def test_where_there_is_room_for_all_all_are_asked_for(consumer: Consumer) -> None:
    assert await consumer._getmany(EVERY, TIMEOUT_S) is FETCHED
    assert consumer.thread.asked == [(EVERY, TIMEOUT_S)]


async def test_a_full_lane_does_not_hold_up_the_others_and_its_room_is_noticed_soon(consumer: Consumer) -> None:
    consumer.fill(BULK)
    assert await consumer._getmany(EVERY, TIMEOUT_S) is FETCHED
    assert consumer.thread.asked == [({URGENT, CHANGELOG}, POLL_WHILE_FULL_S)]


async def test_a_lane_that_has_almost_no_room_left_is_asked_for(consumer: Consumer) -> None:
    consumer.takes_in(BULK, *range(LIMIT - 1))
    await consumer._getmany({BULK}, TIMEOUT_S)
    assert consumer.thread.asked == [({BULK}, TIMEOUT_S)]


async def test_where_there_is_room_for_none_it_waits_for_room_and_asks_for_nothing(consumer: Consumer) -> None:
    fetch, _ = consumer.fill(BULK, URGENT)
    consumer.in_flight.room.set()  # left by what finished before
    waiting = asyncio.ensure_future(consumer._getmany({BULK, NEXT_BULK, URGENT}, TIMEOUT_S))
    await turns()
    assert not waiting.done()
    consumer.in_flight.finish(fetch, 1)
    assert await asyncio.wait_for(waiting, 5) == {}
    assert consumer.thread.asked == []
    await consumer._getmany({BULK, NEXT_BULK, URGENT}, TIMEOUT_S)
    assert consumer.thread.asked == [({BULK, NEXT_BULK}, POLL_WHILE_FULL_S)]


async def test_it_does_not_wait_for_room_when_partitions_are_taken_away(consumer: Consumer) -> None:
    consumer.fill(BULK)
    waiting = asyncio.ensure_future(consumer._getmany({BULK}, TIMEOUT_S))
    await turns()
    assert not waiting.done()
    consumer.suspend_flow.set()
    assert await asyncio.wait_for(waiting, 5) == {}


async def test_it_does_not_wait_for_room_for_longer_than_it_was_told_to(consumer: Consumer) -> None:
    consumer.fill(BULK)
    assert await asyncio.wait_for(consumer._getmany({BULK}, 0.01), 5) == {}
    assert consumer.thread.asked == []


@pytest.mark.parametrize(
    ("is_open", "has_halted", "asked"),
    [
        pytest.param({BULK, URGENT}, False, {BULK, URGENT, CHANGELOG}, id="a partition of the assignment before"),
        pytest.param(None, False, {CHANGELOG}, id="tables are recovered"),
        pytest.param(set(), False, {CHANGELOG}, id="nothing was assigned but tables"),
        pytest.param({BULK, NEXT_BULK, URGENT}, True, {CHANGELOG}, id="halted"),
    ],
)
async def test_what_may_not_come_is_not_asked_for_but_changelogs_are(
    consumer: Consumer, is_open: set[TP] | None, has_halted: bool, asked: set[TP]
) -> None:
    consumer._open = None if is_open is None else frozenset(is_open)
    if has_halted:
        consumer.app.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
    assert await consumer._getmany(EVERY, TIMEOUT_S) is FETCHED
    assert consumer.thread.asked == [(asked, TIMEOUT_S)]


@pytest.mark.parametrize(
    ("active", "is_open", "has_halted"),
    [
        pytest.param(None, True, False, id="nothing is assigned yet"),
        pytest.param(set(), True, False, id="nothing is assigned"),
        pytest.param({BULK, URGENT}, False, False, id="nothing is open"),
        pytest.param({BULK, URGENT}, True, True, id="halted"),
    ],
)
async def test_where_nothing_may_come_nothing_is_asked_for_and_others_have_their_turn(
    consumer: Consumer, active: set[TP] | None, is_open: bool, has_halted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_WHILE_FULL_S", 60.0)
    if not is_open:
        consumer._open = None
    if has_halted:
        consumer.app.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
    waiting = asyncio.ensure_future(consumer._getmany(active, TIMEOUT_S))
    await turns()
    assert not waiting.done(), "it would be asked again at once, and take all the time"
    consumer._stopped.set()
    assert await asyncio.wait_for(waiting, 5) == {}
    assert consumer.thread.asked == []


@pytest.mark.parametrize(
    ("highwater", "committed", "finished", "is_caught_up"),
    [
        pytest.param(None, None, (), False, id="nothing was fetched yet"),
        pytest.param(None, 8, (6, 7), False, id="nothing was fetched yet, whatever was done before"),
        pytest.param(0, None, (), True, id="an empty partition"),
        pytest.param(1, None, (), False, id="nothing is finished or committed"),
        pytest.param(8, 7, (), False, id="committed, up to the last but one"),
        pytest.param(8, 8, (), True, id="nothing is finished here, and all was committed before"),
        pytest.param(8, 5, (5, 6), False, id="finished, up to the last but one"),
        pytest.param(8, 5, (5, 6, 7), True, id="finished, exactly to the end"),
        pytest.param(8, None, (6, 7), True, id="finished, and nothing is committed yet"),
        pytest.param(8, 5, (5, 6, 7, 8), True, id="finished beyond what the last fetch knew of"),
    ],
)
async def test_who_is_caught_up(
    consumer: Consumer, highwater: int | None, committed: int | None, finished: tuple[int, ...], is_caught_up: bool
) -> None:
    if highwater is not None:
        consumer.thread.highwaters[BULK] = highwater
    if committed is not None:
        consumer._committed[BULK] = committed
    if finished:
        consumer.finishes(BULK, *finished)
    assert await consumer.is_caught_up(BULK) == is_caught_up


async def test_what_is_in_flight_has_not_been_caught_up_with(consumer: Consumer) -> None:
    consumer.thread.highwaters[BULK] = 8
    consumer.finishes(BULK, 5)
    last = consumer.takes_in(BULK, 6, 7)
    consumer.in_flight.finish(last, 1)
    assert not await consumer.is_caught_up(BULK)
    consumer.in_flight.finish(last, 1)
    assert await consumer.is_caught_up(BULK)


async def test_each_partition_is_caught_up_by_itself(consumer: Consumer) -> None:
    consumer.thread.highwaters.update({BULK: 8, NEXT_BULK: 8})
    consumer.finishes(BULK, 7)
    assert (await consumer.is_caught_up(BULK), await consumer.is_caught_up(NEXT_BULK)) == (True, False)


async def test_who_catches_up_waits_for_what_was_there_when_it_was_asked(consumer: Consumer) -> None:
    consumer.thread.highwaters.update({BULK: 2, NEXT_BULK: 1})
    consumer.finishes(NEXT_BULK, 0)
    catching_up = asyncio.ensure_future(consumer.catch_up(BULK.topic, [0, 1], TIMEOUT_S))
    await turns()
    consumer.thread.highwaters[BULK] = 9
    consumer.finishes(BULK, 0)
    await turns()
    assert not catching_up.done()
    consumer.finishes(BULK, 1)
    assert await asyncio.wait_for(catching_up, 5)


async def test_what_has_not_been_asked_for_yet_is_waited_for(consumer: Consumer) -> None:
    catching_up = asyncio.ensure_future(consumer.catch_up(BULK.topic, [0], TIMEOUT_S))
    await turns()
    assert not catching_up.done()
    consumer.thread.highwaters[BULK] = 0
    assert await asyncio.wait_for(catching_up, 5)


async def test_nobody_waits_for_ever(consumer: Consumer) -> None:
    consumer.thread.highwaters[BULK] = 1
    assert not await consumer.catch_up(BULK.topic, [0], 0.01)


async def test_partitions_that_are_taken_away_are_waited_for_no_more(consumer: Consumer) -> None:
    consumer.thread.highwaters[BULK] = 1
    consumer.app.engine.draining = True  # type: ignore[misc]
    with pytest.raises(Drained):
        await consumer.catch_up(BULK.topic, [0], TIMEOUT_S)


async def test_a_marker_at_the_end_is_no_record_to_wait_for(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher's transaction leaves one; what is only on its way from aiokafka looks the same for a moment."""
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.seconds))
    consumer.thread.highwaters[BULK] = consumer.at[BULK] = 3
    consumer.finishes(BULK, 0, 1)
    assert not await consumer.is_caught_up(BULK)
    clock.advance(ON_ITS_WAY_S + 0.1)
    assert await consumer.is_caught_up(BULK)
    consumer.thread.highwaters[BULK] = consumer.at[BULK] = 5
    assert not await consumer.is_caught_up(BULK), "more has come"
    late = consumer.takes_in(BULK, 3)
    clock.advance(ON_ITS_WAY_S + 0.1)
    assert not await consumer.is_caught_up(BULK), "and is in flight"
    consumer.in_flight.finish(late, 1)
    assert not await consumer.is_caught_up(BULK)
    clock.advance(ON_ITS_WAY_S + 0.1)
    assert await consumer.is_caught_up(BULK)
