"""A table is what its changelog says, whole fetches at a time; a recovery that gets no answer ends the worker."""

import asyncio
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ConsistencyError
from faust.tables.recovery import ServiceStopped
from faust.types.tuples import TP

from streaming.recovery import FetchRecovery

CHANGELOG = TP("g-table-changelog", 2)
OTHER = TP("g-table-changelog", 3)


class Table:
    """Remembers what it was given, and which folders are to be thrown away."""

    def __init__(self, persisted: int | None) -> None:
        self._persisted = persisted
        self.applied: list[tuple[int, list[int]]] = []
        self.marked: list[int] = []
        self.store = SimpleNamespace(mark=self.marked.append)

    def persisted_offset(self, tp: TP) -> int | None:
        return self._persisted

    def recover(self, partition: int, records: list[Any]) -> None:
        self.applied.append((partition, [record.offset for record in records]))


def fetch(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


async def recovering(table: Table, *, last: int) -> FetchRecovery:
    """A recovery under way, of a changelog whose last record has the offset ``last``."""
    app: Any = SimpleNamespace(
        assignor=SimpleNamespace(assigned_standbys=set, assigned_actives=lambda: {CHANGELOG}),
        conf=SimpleNamespace(stream_recovery_delay=0.0),
        consumer_generation_id=1,
        tracer=None,
        _rebalancing_span=None,
    )
    tables: Any = SimpleNamespace(_changelogs={CHANGELOG.topic: table})
    recovery = FetchRecovery(app, tables, loop=asyncio.get_running_loop())
    await recovery.on_rebalance({CHANGELOG}, set(), {CHANGELOG}, 1)
    recovery.active_highwaters[CHANGELOG] = last
    if recovery.active_offsets[CHANGELOG] is None:
        recovery.active_offsets[CHANGELOG] = -1
    recovery.signal_recovery_end.set()  # left by the one before
    recovery._set_recovery_started()
    return recovery


async def test_fetches_are_applied_whole_until_the_end_is_reached() -> None:
    table = Table(persisted=None)
    recovery = await recovering(table, last=5)
    recovery.apply(CHANGELOG, fetch(0, 1, 4))
    assert not recovery.signal_recovery_end.is_set()
    recovery.apply(CHANGELOG, fetch(5))
    assert recovery.signal_recovery_end.is_set()
    assert not recovery.in_recovery
    assert table.applied == [(2, [0, 1, 4]), (2, [5])]


async def test_what_the_table_has_is_passed_over() -> None:
    table = Table(persisted=3)
    recovery = await recovering(table, last=5)
    recovery.apply(CHANGELOG, fetch(2, 3))
    recovery.apply(CHANGELOG, fetch(3, 4, 5))
    assert table.applied == [(2, [4, 5])]


async def test_what_comes_late_or_is_anothers_changes_nothing() -> None:
    table = Table(persisted=None)
    recovery = await recovering(table, last=0)
    recovery.apply(OTHER, fetch(0))
    recovery.apply(CHANGELOG, fetch(0))
    recovery.apply(CHANGELOG, fetch(1))
    assert table.applied == [(2, [0])]


@pytest.mark.parametrize(
    ("persisted", "first", "last", "is_ahead"),
    [
        (7, 0, 7, False),
        (None, 0, -1, False),
        (None, 5, 7, False),
        (3, 8, 7, False),  # all of it has expired since
        (8, 0, 7, True),
        (1, 0, 0, True),
        (0, 0, -1, True),
    ],
)
async def test_a_table_that_is_ahead_of_its_changelog_is_made_anew(
    persisted: int | None, first: int, last: int, is_ahead: bool
) -> None:
    table = Table(persisted)
    recovery = await recovering(table, last=last)

    async def earliest_offsets(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, first)

    async def highwaters(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, last + 1)

    consumer = SimpleNamespace(earliest_offsets=earliest_offsets, highwaters=highwaters)
    with pytest.raises(ConsistencyError, match="ahead") if is_ahead else nullcontext():
        await recovery._build_offsets(consumer, {CHANGELOG}, recovery.active_offsets, "active")
    assert table.marked == ([CHANGELOG.partition] if is_ahead else [])


async def test_a_partition_that_came_after_the_ends_were_asked_is_not_ahead() -> None:
    table = Table(persisted=500)
    recovery = await recovering(table, last=500)
    recovery.active_highwaters.clear()

    async def at(offset: int, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, offset)

    consumer = SimpleNamespace(earliest_offsets=partial(at, 0), highwaters=partial(at, 501))
    await recovery._build_offsets(consumer, {CHANGELOG}, recovery.active_offsets, "active")
    assert table.marked == []


@pytest.mark.parametrize(("stopped", "ends"), [(False, 1), (True, 0)])
async def test_a_question_without_an_answer(stopped: bool, ends: int) -> None:
    ended: list[BaseException] = []
    recovery = await recovering(Table(None), last=0)
    recovery.app.engine = SimpleNamespace(fail=ended.append)  # type: ignore[attr-defined]
    recovery.signal_recovery_start.clear()
    if stopped:
        recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.sleep(60), timeout=0.05)
    assert len(ended) == ends
