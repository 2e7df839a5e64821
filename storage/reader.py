"""Where does a notification stand? Redis is asked first, Postgres has the last word.

1. A final status in Redis is the answer: final statuses never change.
2. Otherwise Postgres says whether it ended, and the ledger whether it exists.
3. A waiting state from Redis is shown where Postgres knows no outcome, or cannot be asked.
4. A Redis that does not answer is left alone for a while: its absence costs time once, not in every query.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog

from pipeline.errors import CacheUnavailable, StorageUnavailable
from storage.postgres import Page, Position, PostgresStatuses
from storage.redis import StatusCache
from storage.statuses import NotificationStatus

log = structlog.get_logger(__name__)


class StatusReader:
    """Raises StorageUnavailable where the question cannot be answered without Postgres, and Postgres is away.

    ``cache_rest_s`` is how long a Redis that failed is assumed dead.
    """

    def __init__(
        self,
        cache: StatusCache,
        postgres: PostgresStatuses,
        *,
        cache_rest_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._postgres = postgres
        self._cache_rest_s = cache_rest_s
        self._clock = clock
        self._cache_dead_until = float("-inf")

    async def status(self, notification_id: UUID) -> NotificationStatus | None:
        """None where nobody has heard of the notification."""
        name = str(notification_id)
        cached = (await self._cached([name])).get(name)
        if cached is not None and cached.final:
            return cached
        try:
            ended = await self._postgres.outcome(notification_id)
            return ended or cached or await self._postgres.born(notification_id)
        except StorageUnavailable:
            if cached is None:
                raise
            return cached

    async def of_shipment(self, shipment_id: str, *, after: Position | None, limit: int) -> Page:
        """As `PostgresStatuses.of_shipment`, with what Redis knows of those that have not ended."""
        page = await self._postgres.of_shipment(shipment_id, after=after, limit=limit)
        cached = await self._cached([item.id for item in page.items if not item.final])
        return Page([cached.get(item.id, item) for item in page.items], page.next)

    async def _cached(self, ids: Sequence[str]) -> Mapping[str, NotificationStatus]:
        if not ids or self._clock() < self._cache_dead_until:
            return {}
        try:
            return await self._cache.get(ids)
        except CacheUnavailable as error:
            self._cache_dead_until = self._clock() + self._cache_rest_s
            log.warning("status cache unavailable", **{"error.message": str(error)})
            return {}
