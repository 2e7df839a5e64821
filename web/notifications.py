"""``GET /v1/notifications/{id}`` and ``GET /v1/notifications?shipment_id=…``: where does a notification stand?"""

import re
from typing import Protocol
from uuid import UUID

import msgspec
from aiohttp import web

from pipeline.events import ID_LENGTH
from storage.postgres import Page, Position
from storage.statuses import NotificationStatus
from web.cursor import decode_cursor, encode_cursor
from web.problems import ApiProblem

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SHIPMENT_ID_FORM = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{ID_LENGTH}}}")


class Statuses(Protocol):
    """`storage.reader.StatusReader`, as far as this module needs it; raises StorageUnavailable."""

    async def status(self, notification_id: UUID) -> NotificationStatus | None: ...

    async def of_shipment(self, shipment_id: str, *, after: Position | None, limit: int) -> Page: ...


def routes(statuses: Statuses) -> list[web.RouteDef]:
    """Paths relative to ``/v1``."""

    async def one(request: web.Request) -> web.Response:
        status = await statuses.status(_notification_id(request.match_info["id"]))
        if status is None:
            raise ApiProblem(404, "No notification has this id.")
        return _json(_shown(status))

    async def of_shipment(request: web.Request) -> web.Response:
        query = request.query
        page = await statuses.of_shipment(
            _shipment_id(query.get("shipment_id")),
            after=_position(query.get("cursor")),
            limit=_limit(query.get("limit")),
        )
        return _json(
            {
                "notifications": [_shown(status) for status in page.items],
                "next_cursor": None if page.next is None else encode_cursor(page.next),
            }
        )

    return [web.get("/notifications/{id}", one), web.get("/notifications", of_shipment)]


def _shown(status: NotificationStatus) -> dict[str, object]:
    return {**msgspec.structs.asdict(status), "final": status.final}


def _json(body: object) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _notification_id(value: str) -> UUID:
    if UUID_FORM.fullmatch(value) is None:
        raise ApiProblem(400, "id must be a UUID.", field="id")
    return UUID(value)


def _shipment_id(value: str | None) -> str:
    if value is None or SHIPMENT_ID_FORM.fullmatch(value) is None:
        needed = f"shipment_id is needed: 1 to {ID_LENGTH} characters, no control characters."
        raise ApiProblem(400, needed, field="shipment_id")
    return value


def _limit(value: str | None) -> int:
    if value is None:
        return LIMIT_DEFAULT
    if re.fullmatch(r"[0-9]{1,3}", value) is None or not 1 <= int(value) <= LIMIT_MAX:
        raise ApiProblem(400, f"limit must be a whole number from 1 to {LIMIT_MAX}.", field="limit")
    return int(value)


def _position(value: str | None) -> Position | None:
    try:
        return None if value is None else decode_cursor(value)
    except ValueError as error:
        raise ApiProblem(400, "cursor must be the next_cursor of an earlier page.", field="cursor") from error
