"""What the HTTP side tells Prometheus about itself: requests by route and status, and how long they took.

This takes the place of an access log. A label is the route's pattern, never the path that was asked for.
"""

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

UNMATCHED = "unmatched"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def measured(registry: CollectorRegistry) -> Middleware:
    """Outermost of the middlewares, so that it sees the answer that is sent; once for each registry."""
    requests = Counter("herald_http_requests_total", "Requests answered.", ["route", "status"], registry=registry)
    seconds = Histogram(
        "herald_http_request_seconds", "Time from request to answer.", ["route"], buckets=BUCKETS_S, registry=registry
    )

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        route = _route(request)
        seconds.labels(route).observe(time.perf_counter() - started)
        requests.labels(route, str(response.status)).inc()
        return response

    return middleware


def routes(registry: CollectorRegistry) -> list[web.RouteDef]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/metrics", metrics)]


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical
