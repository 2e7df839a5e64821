"""A worker that stops while its group rebalances lets what is under way end before it gives its partitions away."""

import asyncio
from types import SimpleNamespace
from typing import NoReturn

from faust.types.tuples import TP

from streaming.consumer import FetchConsumer
from streaming.engine import Engine
from streaming.halt import Halt
from tests.fakes import turns

LANE = TP("lane", 3)


def never(reason: str) -> NoReturn:
    raise AssertionError(reason)


class Stopping(FetchConsumer):
    def __init__(self) -> None:
        self.engine = Engine(drain_timeout_s=60.0, halt=Halt(lambda cause: None), is_member=lambda: True, end=never)
        self.app = SimpleNamespace(should_stop=True, engine=self.engine)  # type: ignore[assignment]
        self._open = self._prepared = frozenset({LANE})
        self._assignments = 0
        self._revoked = False
        self._expected, self._next, self._gaps, self._past = {LANE: 5}, {LANE: 5}, {}, {}


async def test_a_call_ends_before_its_partitions_go() -> None:
    consumer = Stopping()
    with consumer.engine.work():
        revoked = asyncio.create_task(consumer.on_partitions_revoked({LANE}))
        await turns()
        assert not revoked.done(), "its answer could not be kept any more"
        assert not consumer.is_open, "nothing more is taken meanwhile"
    await asyncio.wait_for(revoked, 5.0)


async def test_where_nothing_is_under_way_they_go_at_once() -> None:
    consumer = Stopping()
    await asyncio.wait_for(consumer.on_partitions_revoked({LANE}), 5.0)
    await consumer.on_partitions_assigned({LANE})
    assert consumer.engine.assignments == 1
