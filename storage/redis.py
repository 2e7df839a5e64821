"""Where do the latest statuses wait to be asked for? In Redis, under two keys a notification.

``herald:w:<id>`` says what it waits for, ``herald:o:<id>`` how it ended, and a reader believes the second first: a
waiting state that is written late never hides a final one. Losing all of it costs speed, nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from pipeline.errors import CacheUnavailable
from pipeline.outcomes import Outcome
from pipeline.ports import Waiting
from storage.statuses import NotificationStatus

WAITING = "herald:w:"
OUTCOME = "herald:o:"
CHUNK = 500

# One command for a chunk, and one argument for all that is in it: what the client does for each argument costs it more
# than all else that it does for a status.
PUT = """
local prefix, ttl_ms, only_new, items = ARGV[1], ARGV[2], ARGV[3], cmsgpack.unpack(ARGV[4])
for place = 1, #items, 2 do
    if only_new == 'NX' then
        redis.call('SET', prefix .. items[place], items[place + 1], 'PX', ttl_ms, 'NX')
    else
        redis.call('SET', prefix .. items[place], items[place + 1], 'PX', ttl_ms)
    end
end
"""

_encode = msgspec.json.Encoder().encode
_decode_waiting = msgspec.json.Decoder(NotificationStatus).decode
_decode_outcome = msgspec.json.Decoder(Outcome).decode
_pack = msgspec.msgpack.Encoder().encode


class StatusCache:
    """Raises CacheUnavailable from every call, within ``timeout_s``; the caller decides what that means.

    ``ttl_s`` should outlive the longest wait of a notification. What was written before an error stays.
    """

    def __init__(self, url: str, *, timeout_s: float, ttl_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._ttl_ms = round(ttl_s * 1000)
        self._redis: Redis | None = None

    async def start(self) -> None:
        """Connects when it is needed: an unreachable Redis is no reason not to start."""
        self._redis = Redis.from_url(
            self._url,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 1),  # once: a pooled connection may have died with the last Redis
        )

    async def stop(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def put_waiting(self, waiting: Iterable[Waiting]) -> None:
        statuses = map(NotificationStatus.waiting, waiting)
        await self._put(WAITING, ((one.id, _encode(one)) for one in statuses), only_new=False)

    async def put_outcomes(self, outcomes: Iterable[tuple[str, bytes]]) -> None:
        """Never overwrites: the first outcome wins, here as in Postgres. The values are `Outcome` as JSON."""
        await self._put(OUTCOME, outcomes, only_new=True)

    async def get(self, ids: Sequence[str]) -> Mapping[str, NotificationStatus]:
        """What is known of ``ids``, the final status before the waiting one.

        A value that cannot be read (written by another version, or by somebody else) counts as absent.
        """
        known: dict[str, NotificationStatus] = {}
        for chunk in _chunks(ids):
            keys = [prefix + one for prefix in (WAITING, OUTCOME) for one in chunk]
            async with self._connected() as redis:
                values = await redis.mget(keys)
            known.update(_readable(values[: len(chunk)], _decode_waiting))
            known.update(_readable(values[len(chunk) :], _ended))
        return known

    async def _put(self, prefix: str, statuses: Iterable[tuple[str, bytes]], *, only_new: bool) -> None:
        for chunk in _chunks(statuses):
            # As text: Redis' reader of MessagePack knows no type for bytes.
            items = _pack([part for id, value in chunk for part in (id, value.decode(errors="replace"))])
            async with self._connected() as redis:
                await redis.eval(PUT, 0, prefix, self._ttl_ms, "NX" if only_new else "", items)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Redis]:
        assert self._redis is not None, "not started"
        try:
            async with asyncio.timeout(self._timeout_s):
                yield self._redis
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailable(f"redis: {type(error).__name__}: {error}") from error


Item = TypeVar("Item")


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _ended(value: bytes | str) -> NotificationStatus:
    return NotificationStatus.ended(_decode_outcome(value))


def _readable(
    values: Iterable[bytes | str | None], decode: Callable[[bytes | str], NotificationStatus]
) -> Iterator[tuple[str, NotificationStatus]]:
    for value in values:
        if value is None:
            continue
        try:
            status = decode(value)
        except msgspec.DecodeError:
            continue
        yield status.id, status
