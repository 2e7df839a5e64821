"""The HTTP side of a role: health and metrics everywhere, the status API where it is asked for."""

from collections.abc import Sequence
from importlib.resources import files

from aiohttp import web
from prometheus_client import CollectorRegistry

from web import health, metrics, notifications
from web.auth import authenticated
from web.health import Health
from web.metrics import Answered
from web.notifications import Statuses
from web.problems import problems


def operations_app(
    *, health_of: Health, registry: CollectorRegistry, answered: Answered, request_timeout_s: float
) -> web.Application:
    """What every role serves: ``/health/live``, ``/health/ready``, ``/metrics``; no key is asked for."""
    app = web.Application(middlewares=[metrics.measured(answered), problems(request_timeout_s)])
    app.add_routes(health.routes(health_of))
    app.add_routes(metrics.routes(registry))
    return app


def add_status_api(app: web.Application, *, statuses: Statuses, api_keys: Sequence[str]) -> None:
    """Adds ``/v1``, which asks for a key also where nothing is found, and ``/openapi.json``, which does not."""
    api = web.Application(middlewares=[authenticated(api_keys)])
    api.add_routes(notifications.routes(statuses))
    app.add_subapp("/v1", api)

    document = files("web").joinpath("openapi.json").read_bytes()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app.add_routes([web.get("/openapi.json", openapi)])


class HttpServer:
    """Serves one application; ``port`` 0 takes a free one, which `port` tells after the start.

    `start` raises OSError where the address is taken. `stop` gives requests in flight ``stop_timeout_s`` to end.
    """

    def __init__(self, app: web.Application, *, host: str, port: int, stop_timeout_s: float = 5.0) -> None:
        # No access log: the metrics tell the same for less, and a path may carry an id.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_timeout_s)
        self._host = host
        self._port = port

    @property
    def port(self) -> int:
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()
