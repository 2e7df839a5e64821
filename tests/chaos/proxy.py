"""How does a test get between the workers and everything they talk to? Through TCP proxies, all in one process.

PUT /<route>    its `modes.Mode` from now on; answers with the number of connections that feel it
GET /           the mode and the connections of each route
"""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import uvloop
from aiohttp import web

from simulators.child import Child
from simulators.listener import HOST
from simulators.process import http_factory, json_response, stop_event
from stack.ports import free_ports
from tests.chaos.modes import PASS, Mode
from tests.chaos.route import Route


class State(msgspec.Struct, frozen=True):
    mode: Mode
    connections: int


class Proxies:
    """One process; its log goes into ``folder``. Every call blocks, for some seconds at most.

    ``targets`` are host:port by the name of their route. A route keeps its port for as long as this object lives.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._targets = dict(targets)
        control_port, *ports = free_ports(1 + len(targets))
        self.ports = dict(zip(targets, ports, strict=True))
        self._child = Child(__name__, folder / "proxy.log", control_port=control_port, ready_path="/")

    def start(self) -> Self:
        """Every route passes. Raises RuntimeError with the log's end if the process does not come up."""
        routes = [f"{name}={self.ports[name]}={target}" for name, target in self._targets.items()]
        self._child.start(*routes)
        return self

    def stop(self) -> None:
        self._child.stop()

    def address(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"

    def set(self, name: str, mode: Mode = PASS) -> int:
        """In place of the mode before; returns how many connections feel it."""
        return msgspec.json.decode(self._child.call("PUT", f"/{name}", msgspec.json.encode(mode)), type=int)

    def pass_all(self) -> None:
        """Nothing goes wrong any more."""
        for name in self.ports:
            self.set(name)

    def states(self) -> dict[str, State]:
        return msgspec.json.decode(self._child.call("GET", "/"), type=dict[str, State])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _parse(routes: list[str]) -> dict[str, Route]:
    """``name=port=host:port`` each."""
    parsed = {}
    for one in routes:
        name, port, target = one.split("=")
        host, _, target_port = target.rpartition(":")
        parsed[name] = Route(int(port), (host, int(target_port)))
    return parsed


def _control(routes: Mapping[str, Route]) -> web.Application:
    async def put(request: web.Request) -> web.Response:
        route = routes.get(request.match_info["name"])
        if route is None:
            return web.Response(status=404)
        try:
            mode = msgspec.json.decode(await request.read(), type=Mode)
        except msgspec.DecodeError as error:
            return web.Response(status=422, text=str(error))
        return json_response(await route.set(mode))

    async def get(_: web.Request) -> web.Response:
        return json_response({name: State(route.mode, route.connections) for name, route in routes.items()})

    app = web.Application()
    app.add_routes([web.put("/{name}", put), web.get("/", get)])
    return app


async def _serve(options: argparse.Namespace) -> None:
    routes = _parse(options.routes)
    for route in routes.values():
        await route.open()
    stopped = stop_event(stop_on_eof=options.stop_on_eof)
    loop = asyncio.get_running_loop()
    await loop.create_server(await http_factory(_control(routes)), HOST, options.control_port)
    await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="TCP proxies that can be told to misbehave.")
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--stop-on-eof", action="store_true", help="end with whoever holds the other end of stdin")
    parser.add_argument("routes", nargs="+", help="name=port=host:port")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
