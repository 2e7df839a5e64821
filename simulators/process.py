"""How does a simulator run? As a process with two ports: the provider's own, and one to control it.

PUT /_faults    what shall go wrong from now on (`simulators.faults.Faults`), all of it: what is left out is off
GET /_faults    what is set to go wrong
GET /_ledger    `simulators.ledger.Summary`; the ledger on disk is complete up to then
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import msgspec
import uvloop
from aiohttp import web

from simulators.faults import FaultPlan, Faults
from simulators.ledger import Ledger
from simulators.listener import HOST, Factory, Listener

FLUSH_INTERVAL_S = 0.05
KEEPALIVE_S = 600.0


class Simulation:
    """What every simulator has: the faults in force and a ledger."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.plan = FaultPlan(Random(seed))  # noqa: S311 -- dice that can be thrown again are the point
        self.ledger = ledger

    async def lag(self) -> None:
        if self.plan.faults.latency_ms > 0:
            await asyncio.sleep(self.plan.faults.latency_ms / 1000)

    async def hang(self) -> None:
        await asyncio.sleep(self.plan.faults.hang_s)


def argument_parser(purpose: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--port", type=int, required=True, help="where the provider listens, on the loopback")
    parser.add_argument("--control-port", type=int, required=True, help="where faults are set and the ledger is asked")
    parser.add_argument("--ledger", type=Path, required=True, help="file to append to, one line of JSON a message")
    parser.add_argument("--seed", type=int, default=0, help="of the dice for faults with a rate")
    parser.add_argument("--stop-on-eof", action="store_true", help="end with whoever holds the other end of stdin")
    return parser


def run(options: argparse.Namespace, start: Callable[[Simulation], Awaitable[Factory]]) -> None:
    """Serve until SIGTERM, SIGINT or, with ``--stop-on-eof``, the end of stdin."""
    uvloop.run(_serve(options, start))


async def http_factory(app: web.Application) -> Factory:
    """What makes a connection of an aiohttp application; a handler ends when its client goes."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, keepalive_timeout=KEEPALIVE_S)
    await runner.setup()
    assert runner.server is not None, "made by setup"
    return runner.server


def json_response(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), headers=headers, content_type="application/json"
    )


async def _serve(options: argparse.Namespace, start: Callable[[Simulation], Awaitable[Factory]]) -> None:
    ledger = Ledger(options.ledger)
    simulation = Simulation(ledger, options.seed)
    provider = Listener(await start(simulation), options.port, on_connection=ledger.count_connection)
    await provider.open()
    loop = asyncio.get_running_loop()
    await loop.create_server(await http_factory(_control(simulation, provider)), HOST, options.control_port)
    stopped = stop_event(stop_on_eof=options.stop_on_eof)
    flushing = asyncio.create_task(_flush_often(ledger))
    try:
        await asyncio.wait({flushing, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if flushing.done():
            flushing.result()  # a ledger that cannot be written ends the process
    finally:
        ledger.close()


async def _flush_often(ledger: Ledger) -> None:
    while True:
        ledger.flush()
        await asyncio.sleep(FLUSH_INTERVAL_S)


def stop_event(*, stop_on_eof: bool) -> asyncio.Event:
    """Set on SIGTERM, SIGINT or, with ``stop_on_eof``, at the end of stdin."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stopped.set)
    if stop_on_eof:
        stdin = sys.stdin.fileno()
        loop.add_reader(stdin, lambda: None if os.read(stdin, 1024) else stopped.set())
    return stopped


def _control(simulation: Simulation, provider: Listener) -> web.Application:
    async def put_faults(request: web.Request) -> web.Response:
        try:
            faults = msgspec.json.decode(await request.read(), type=Faults)
        except msgspec.DecodeError as error:
            return web.Response(status=422, text=str(error))
        simulation.plan.change(faults)
        if faults.down:
            provider.close()
        else:
            await provider.open()
        return json_response(faults)

    async def get_faults(_: web.Request) -> web.Response:
        return json_response(simulation.plan.faults)

    async def get_ledger(_: web.Request) -> web.Response:
        simulation.ledger.flush()
        return json_response(simulation.ledger.summary())

    app = web.Application()
    app.add_routes([web.put("/_faults", put_faults), web.get("/_faults", get_faults), web.get("/_ledger", get_ledger)])
    return app
