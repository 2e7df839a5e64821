"""Rows of seen events come back as they were put, per partition."""

from datetime import UTC, datetime

import pytest

from pipeline.enrich import SeenRow
from pipeline.ledger import Source
from streaming.engine import Drained
from tables.seen import SeenEvents
from tests.fakes import Out, Table, app

ROW = SeenRow(
    revision=datetime(2026, 11, 23, 9, 30, tzinfo=UTC), source=Source(topic="t", partition=1, offset=2, index=3)
)


@pytest.fixture
def seen() -> SeenEvents:
    seen = SeenEvents(app(), keep_s=60.0)
    seen.table = Table()  # type: ignore[assignment]
    return seen


async def test_a_row_comes_back_as_it_was_put(seen: SeenEvents) -> None:
    await seen.put(Out(), {1: {"issuer\x1fid": ROW, "other": SeenRow(revision=None, source=ROW.source)}})
    assert seen.get(1, "issuer\x1fid") == ROW
    assert seen.get(1, "other") == SeenRow(revision=None, source=ROW.source)
    assert seen.get(0, "other") is None


async def test_nothing_is_written_for_nothing(seen: SeenEvents) -> None:
    out = Out()
    await seen.put(out, {1: {}})
    assert out.records == []


def test_another_workers_partition_cannot_be_read(seen: SeenEvents) -> None:
    with pytest.raises(Drained):
        seen.get(9, "id")
