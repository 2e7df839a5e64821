"""Once the flow stops nothing more of a changelog is handed over: what was queued before is dropped, and read again."""

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.types.tuples import TP
from mode import Service

from streaming.consumer import FetchConsumer

CHANGELOG = TP("g-table-changelog", 0)


async def handed_over(records: int, stop_after: int | None) -> tuple[list[int], dict[TP, int]]:
    """The offsets that reached the queue, and what the consumer takes for read."""
    consumer: Any = FetchConsumer.__new__(FetchConsumer)
    Service.__init__(consumer, loop=asyncio.get_running_loop())
    consumer.app = SimpleNamespace(
        engine=SimpleNamespace(in_flight=SimpleNamespace(is_batched=lambda topic: False)),
        tables=SimpleNamespace(recovery=SimpleNamespace(active_tps={CHANGELOG})),
    )
    consumer._open, consumer._read_offset, consumer.flow_active = None, {}, True
    consumer.can_resume_flow, consumer.suspend_flow = asyncio.Event(), asyncio.Event()
    consumer._to_message = lambda tp, record: record.offset
    handed: list[int] = []

    async def queue(offset: int) -> None:
        handed.append(offset)
        if len(handed) == stop_after:
            consumer.stop_flow()

    consumer.callback = queue
    await consumer._deliver({CHANGELOG: [SimpleNamespace(offset=offset) for offset in range(records)]})
    return handed, consumer._read_offset


async def test_a_changelog_is_handed_over_whole() -> None:
    assert await handed_over(5, stop_after=None) == ([0, 1, 2, 3, 4], {CHANGELOG: 4})


async def test_nothing_follows_a_stop() -> None:
    handed, read = await handed_over(5, stop_after=3)
    assert handed == [0, 1, 2]
    assert read.get(CHANGELOG, -1) <= 2
