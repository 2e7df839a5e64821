"""Where are the crash points? Around the product's own functions, from outside: the product knows nothing of them.

Everything is wrapped before the app is made. A function that is not there any more is an error at once: a point that is
never reached must not go unnoticed.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from faust.tables.recovery import Recovery

import topics
from pipeline.notifications import Channel, Lane, Notification
from pipeline.ports import Provider, SendResult
from settings import Role, Settings
from streaming.consumer import FetchConsumer
from streaming.producer import Producer, Record
from streaming.table import ChangelogTable
from tests.chaos.points import POINTS, CrashPoint, Points

# So long a call has been going when it is cut off.
DURING_S = 0.002
LANES = {topics.lane(channel, lane) for channel in Channel for lane in Lane}

Call = Callable[..., Awaitable[Any]]


def install(points: Points, role: Role) -> None:
    """For the role of this process alone: a worker loads nothing that it would not load otherwise."""
    if role.channel is not None:
        _wrap_send(points)
    elif role is Role.ENRICH:
        _wrap_send_all(points, CrashPoint.AFTER_NOTIFICATIONS, LANES)
    elif role is Role.SINK:
        _wrap_sink(points)
    elif role is Role.RETRY:
        _wrap_retry(points)
    if CrashPoint.DURING_REBALANCE in POINTS[role]:
        _wrap_consumer(points)
    if CrashPoint.DURING_RECOVERY in POINTS[role]:
        _wrap_recovery(points)


def _wrap_send(points: Points) -> None:
    import app
    from tables.claims import Claims

    def wrapped(build: Callable[[Settings], Provider]) -> Callable[[Settings], Provider]:
        def build_wrapped(settings: Settings) -> Provider:
            provider = build(settings)
            _replace(provider, "send", lambda send: _around_call(points, send))
            return provider

        return build_wrapped

    _replace(Claims, "claim", lambda claim: _after(points, CrashPoint.AFTER_CLAIM, claim))
    _wrap_send_all(points, CrashPoint.AFTER_OUTCOME, {topics.OUTCOMES})
    for channel, build in app.PROVIDERS.items():
        app.PROVIDERS[channel] = wrapped(build)


def _wrap_sink(points: Points) -> None:
    from storage.postgres import PostgresOutcomes

    for name in ("store_outcomes", "store_events"):
        _replace(PostgresOutcomes, name, lambda store: _after(points, CrashPoint.AFTER_ROWS, store))


def _wrap_retry(points: Points) -> None:
    from streaming.delay import DelayService

    _wrap_send_all(points, CrashPoint.AFTER_RETURN, LANES | {topics.STATUS_AGAIN})
    _replace(DelayService, "_commit", lambda commit: _around_commit(points, commit))


def _wrap_consumer(points: Points) -> None:
    _replace(FetchConsumer, "_commit", lambda commit: _around_commit(points, commit))
    for name in ("on_partitions_revoked", "on_partitions_assigned"):
        _replace(FetchConsumer, name, lambda react: _before(points, CrashPoint.DURING_REBALANCE, react))


def _wrap_recovery(points: Points) -> None:
    def after_batch(apply: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(apply)
        def wrapped(*arguments: Any, **options: Any) -> None:
            apply(*arguments, **options)
            points.reach(CrashPoint.DURING_RECOVERY)

        return wrapped

    _replace(Recovery, "_seek_offsets", lambda seek: _before(points, CrashPoint.DURING_RECOVERY, seek))
    _replace(ChangelogTable, "recover", after_batch)


def _wrap_send_all(points: Points, point: CrashPoint, topics: Collection[str]) -> None:
    """The point is reached when records of these topics have been acknowledged."""

    def wrapper(send_all: Call) -> Call:
        @functools.wraps(send_all)
        async def wrapped(self: Producer, records: Sequence[Record]) -> Any:
            result = await send_all(self, records)
            if points.is_armed(point) and any(record.topic in topics for record in records):
                points.reach(point)
            return result

        return wrapped

    _replace(Producer, "send_all", wrapper)


def _around_call(points: Points, send: Call) -> Call:
    @functools.wraps(send)
    async def wrapped(notifications: Sequence[Notification]) -> Sequence[SendResult]:
        armed = points.is_armed(CrashPoint.DURING_CALL)
        results: Sequence[SendResult] = await (
            _interrupted(points, send, notifications) if armed else send(notifications)
        )
        points.reach(CrashPoint.AFTER_ANSWER)
        return results

    return wrapped


async def _interrupted(points: Points, send: Call, notifications: Sequence[Notification]) -> Any:
    """A call that is answered at once was not interrupted: the next one may be."""
    call = asyncio.ensure_future(send(notifications))
    try:
        await asyncio.wait({call}, timeout=DURING_S)
        if not call.done():
            points.reach(CrashPoint.DURING_CALL)
        return await call
    finally:
        call.cancel()


def _around_commit(points: Points, commit: Call) -> Call:
    @functools.wraps(commit)
    async def wrapped(*arguments: Any, **options: Any) -> Any:
        points.reach(CrashPoint.BEFORE_COMMIT)
        taken = await commit(*arguments, **options)
        if taken is not False:
            points.reach(CrashPoint.AFTER_COMMIT)
        return taken

    return wrapped


def _before(points: Points, point: CrashPoint, call: Call) -> Call:
    @functools.wraps(call)
    async def wrapped(*arguments: Any, **options: Any) -> Any:
        points.reach(point)
        return await call(*arguments, **options)

    return wrapped


def _after(points: Points, point: CrashPoint, call: Call) -> Call:
    @functools.wraps(call)
    async def wrapped(*arguments: Any, **options: Any) -> Any:
        result = await call(*arguments, **options)
        points.reach(point)
        return result

    return wrapped


def _replace(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(owner, name, wrapper(getattr(owner, name)))
