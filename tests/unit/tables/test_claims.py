"""Claims: every change durable before it counts, many of them in one write."""

import asyncio
from collections.abc import Sequence

import pytest
from faust.types.tuples import TP

from pipeline.claims import PartitionClaims
from streaming.engine import Drained
from streaming.producer import ProduceFailed, Record
from tables.claims import Claims
from tests.fakes import Clock, Out, Table, app, until

BULK, URGENT, OTHER = TP("bulk", 0), TP("urgent", 0), TP("bulk", 1)


class Slow(Out):
    """Answers when told to; ``batches`` is what it was given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.batches: list[list[Record]] = []

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        self.batches.append(list(records))
        await self.open.wait()
        return await super().send_all(records)


@pytest.fixture
def out() -> Slow:
    return Slow()


@pytest.fixture
def committed() -> dict[TP, int]:
    return {}


@pytest.fixture
def claims(out: Slow, committed: dict[TP, int]) -> Claims:
    claims = Claims(app(), out, committed=committed.get, clock_ms=Clock())
    claims.table = Table()  # type: ignore[assignment]
    claims.load([BULK, URGENT, OTHER])
    return claims


def row(claims: Claims, tp: TP) -> PartitionClaims:
    """What whoever takes the partition over would read."""
    rows = claims.table.read_prefix(tp.partition, f"{tp.topic}-{tp.partition}/".encode())
    return PartitionClaims(row for _, row in rows)


async def test_lanes_of_one_partition_have_a_row_each(claims: Claims) -> None:
    await claims.claim({BULK: [1], URGENT: [7], OTHER: [3]})
    assert [row(claims, tp).in_doubt for tp in (BULK, URGENT, OTHER)] == [{1}, {7}, {3}]


async def test_a_claim_returns_when_it_is_durable(claims: Claims, out: Slow) -> None:
    out.open.clear()
    claiming = asyncio.create_task(claims.claim({BULK: [1]}))
    await until(lambda: bool(out.batches))
    assert not claiming.done()
    out.open.set()
    await asyncio.wait_for(claiming, 5)
    assert row(claims, BULK).in_doubt == {1}


async def test_what_is_done_is_known_to_whoever_comes_next(claims: Claims, committed: dict[TP, int]) -> None:
    await claims.finish(await claims.claim({BULK: [0, 1]}), {})
    await claims.claim({BULK: [2]})
    claims.load([BULK])
    assert [offset in claims.done(BULK) for offset in (0, 1, 2, 3)] == [True, True, False, False]
    assert [claims.is_in_doubt(BULK, offset) for offset in (0, 1, 2, 3)] == [False, False, True, False]


async def test_what_is_committed_leaves_the_row(claims: Claims, committed: dict[TP, int]) -> None:
    await claims.finish(await claims.claim({BULK: [0, 1, 2]}), {})
    committed[BULK] = 2
    await claims.claim({BULK: [3]})
    assert row(claims, BULK).done_before == {2}


async def test_what_is_done_costs_no_write_of_its_own(claims: Claims, out: Slow) -> None:
    """Its outcome is durable, and tells whoever comes next as much."""
    claimed = await claims.claim({BULK: [0, 1, 2]})
    writes = len(out.batches)
    await claims.finish(claimed, {})
    assert len(out.batches) == writes
    assert row(claims, BULK).in_doubt == {0, 1, 2}


async def test_what_is_given_up_is_not_in_doubt(claims: Claims) -> None:
    """It was certainly not told, and nothing else would say so."""
    await claims.finish(await claims.claim({BULK: [0, 1, 2]}), {BULK: [1]})
    assert (row(claims, BULK).in_doubt, row(claims, BULK).done_before) == (set(), {0, 2})


async def test_own_claims_are_not_in_doubt(claims: Claims) -> None:
    await claims.claim({BULK: [1]})
    assert not claims.is_in_doubt(BULK, 1)


async def test_many_calls_share_a_write(claims: Claims, out: Slow) -> None:
    """One under way, and one for all that came meanwhile."""
    out.open.clear()
    first = asyncio.create_task(claims.claim({BULK: [0]}))
    await until(lambda: len(out.batches) == 1)
    others = [asyncio.create_task(claims.claim({BULK: [offset]})) for offset in range(1, 50)]
    await until(lambda: claims._next is not None)
    out.open.set()
    await asyncio.wait_for(asyncio.gather(first, *others), 5)
    assert len(out.batches) == 2
    assert row(claims, BULK).in_doubt == set(range(50))


async def test_a_change_during_a_write_waits_for_the_next(claims: Claims, out: Slow) -> None:
    """The row under way was made without it: its acknowledgement says nothing of it."""
    out.open.clear()
    first = asyncio.create_task(claims.claim({BULK: [0]}))
    await until(lambda: len(out.batches) == 1)
    second = asyncio.create_task(claims.claim({BULK: [1]}))
    await until(lambda: claims._next is not None)
    out.open.set()
    await asyncio.wait_for(first, 5)
    await asyncio.wait_for(second, 5)
    durable = [PartitionClaims([one.value or b""]).in_doubt for one in out.records]
    assert durable == [{0}, {0, 1}]


async def test_a_write_that_fails_fails_whoever_waits_for_it(claims: Claims, out: Slow) -> None:
    out.fails.add("changelog")
    results = await asyncio.gather(claims.claim({BULK: [0]}), claims.claim({URGENT: [0]}), return_exceptions=True)
    assert [type(result) for result in results] == [ProduceFailed, ProduceFailed]


async def test_a_partition_that_is_gone_cannot_be_claimed(claims: Claims, out: Slow) -> None:
    claims.load([URGENT])
    with pytest.raises(Drained):
        await claims.claim({BULK: [1]})
    with pytest.raises(Drained):
        await claims.claim({BULK: [1], URGENT: [1]})
    assert out.records == []


async def test_a_call_that_outlives_its_partition_does_not_touch_the_new_lifes_claims(claims: Claims) -> None:
    """Its record is in doubt to the new life, whatever it still says."""
    stale = await claims.claim({BULK: [1]})
    claims.load([BULK])
    await claims.finish(stale, {})
    assert claims.is_in_doubt(BULK, 1)
    assert row(claims, BULK).in_doubt == {1}


async def test_rows_tell_how_far_the_log_that_they_are_about_went(claims: Claims, committed: dict[TP, int]) -> None:
    await claims.claim({BULK: [4, 5, 6], URGENT: [0]})
    committed[BULK] = 4
    claims.load([BULK, URGENT, OTHER])
    assert claims.reached() == {BULK: 7, URGENT: 1, OTHER: 0}
