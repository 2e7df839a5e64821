"""How are dead letters replayed? A few at a time, at a pace, each marked once Kafka has its replay.

A crash in between leaves a replay without its mark: the next one has the same number, hence the same notification id.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.dlq_plan import Replay
from streaming.producer import ProduceFailed, RecordSink

MOST_AT_ONCE = 100
ROUNDS_A_SECOND = 10
# Each may last as long as the producer waits for a broker.
ROUNDS_IN_VAIN = 3


@dataclass(frozen=True, slots=True)
class Done:
    """``error`` is None where the replay is acknowledged and marked."""

    replay: Replay
    error: str | None = None


async def replay_all(
    replays: Sequence[Replay],
    out: RecordSink,
    *,
    by: str,
    per_second: int,
    clock: Callable[[], datetime],
    on_done: Callable[[Done], None],
) -> None:
    """Every replay gets one ``on_done``, in order; what fails does not stop the others, unless all fail for a while."""
    at_once = max(1, min(per_second // ROUNDS_A_SECOND, MOST_AT_ONCE))
    now_s = asyncio.get_running_loop().time
    next_at_s = now_s()
    in_vain = 0
    for first in range(0, len(replays), at_once):
        some = replays[first : first + at_once]
        if in_vain == ROUNDS_IN_VAIN:
            for one in some:
                on_done(Done(one, "not tried: nothing before it went through"))
            continue
        await asyncio.sleep(max(0.0, next_at_s - now_s()))
        # From now, not from when it was due: a round that took long is no reason to hurry afterwards.
        next_at_s = now_s() + len(some) / per_second
        results = await asyncio.gather(*(_replay(one, out, by, clock()) for one in some))
        for done in results:
            on_done(done)
        in_vain = in_vain + 1 if all(done.error for done in results) else 0


async def _replay(replay: Replay, out: RecordSink, by: str, now: datetime) -> Done:
    try:
        await out.send_all(replay.records(now))
    except ProduceFailed as error:
        return Done(replay, str(error))
    try:
        await out.send_all([replay.marker(by)])
    except ProduceFailed as error:
        return Done(replay, f"replayed, but not marked so: {error}")
    return Done(replay)
