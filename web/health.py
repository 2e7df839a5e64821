"""``/health/live`` and ``/health/ready``: 200 with nothing to complain of, 503 with a body that names each complaint.

Live asks "would a restart help?", so it never looks at Kafka, Postgres, Redis or a provider; ready asks "may work be
sent here?".
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Problem:
    """A check that does not hold now: its name, and what is wrong, for an operator."""

    check: str
    detail: str


class Health(Protocol):
    """Answers from memory: neither call blocks or does I/O."""

    def live(self) -> Sequence[Problem]: ...

    def ready(self) -> Sequence[Problem]: ...


def routes(health: Health) -> list[web.RouteDef]:
    return [web.get("/health/live", _answering(health.live)), web.get("/health/ready", _answering(health.ready))]


def _answering(check: Callable[[], Sequence[Problem]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.Response:
        problems = check()
        body = {"status": "failing" if problems else "ok", "problems": [asdict(problem) for problem in problems]}
        return web.json_response(body, status=503 if problems else 200, headers={"Cache-Control": "no-store"})

    return answer
