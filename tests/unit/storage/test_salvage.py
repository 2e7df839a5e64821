"""A batch with offenders: the rest is stored, each offender named by its place, at a bounded cost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageUnavailable
from pipeline.ports import Rejected
from storage.errors import RecordRefused
from storage.salvage import store_salvaging


class Store:
    """All or nothing, like a transaction; refuses what is negative; counts its calls."""

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.calls = 0

    async def keep(self, batch):
        self.calls += 1
        if any(row < 0 for row in batch):
            raise RecordRefused("below zero")
        new = set(batch) - self.rows
        self.rows |= new
        return len(new)


@given(st.sets(st.integers(0, 199)))
async def test_the_good_are_stored_and_the_bad_named(offenders):
    batch = [-1 if place in offenders else place for place in range(200)]
    store = Store()
    result = await store_salvaging(batch, store.keep)
    assert store.rows == set(range(200)) - offenders
    assert result.stored == 200 - len(offenders)
    assert result.rejected == tuple(Rejected(place, "below zero") for place in sorted(offenders))
    assert store.calls <= 1 + 2 * math.ceil(math.log2(200)) * len(offenders)


async def test_a_good_batch_is_one_call():
    store = Store()
    assert (await store_salvaging([1, 2, 3], store.keep)).stored == 3
    assert store.calls == 1


async def test_a_store_that_is_away_is_no_reason_to_blame_a_record():
    async def away(_):
        raise StorageUnavailable("gone")

    with pytest.raises(StorageUnavailable):
        await store_salvaging([1, 2], away)
