"""What the HTTP side tells Prometheus: each request by its route and status, and all metrics of the process.

This takes the place of an access log. A label is the route's pattern, never the path that was asked for.
"""

import time
from collections.abc import Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

# Told of each request: its route, the status of the answer, seconds.
Answered: TypeAlias = Callable[[str, int, float], None]

UNMATCHED = "unmatched"


def measured(answered: Answered) -> Middleware:
    """Outermost of the middlewares, so that it sees the answer that is sent."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        answered(_route(request), response.status, time.perf_counter() - started)
        return response

    return middleware


def routes(registry: CollectorRegistry) -> list[web.RouteDef]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/metrics", metrics)]


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical
