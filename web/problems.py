"""Every error leaves as ``application/problem+json`` (RFC 9457), whoever raised it."""

import asyncio
import http
from collections.abc import Mapping

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.errors import StorageUnavailable

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

log = structlog.get_logger(__name__)


class ApiProblem(Exception):
    """An answer that is an error; ``detail`` is for the caller, ``field`` names the parameter that is wrong."""

    def __init__(
        self, status: int, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}


def problems(timeout_s: float) -> Middleware:
    """Limits a request to ``timeout_s`` and turns what it raises into a problem.

    An exception that nobody foresaw is logged as the bug that it is; the caller learns that it happened, not what.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(timeout_s):
                return await handler(request)
        except ApiProblem as problem:
            return _response(problem)
        except web.HTTPError as error:
            return _response(ApiProblem(error.status, _explained(error), headers=_kept(error.headers)))
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("request not answered", **{"error.type": type(error).__name__, "error.message": str(error)})
            return _response(_unavailable())
        except Exception:
            # The last line of defence: without it the caller would see a stack trace, and the log would not.
            log.exception("request failed")
            return _response(ApiProblem(500, "An error of ours; it has been logged."))

    return middleware


def _unavailable() -> ApiProblem:
    return ApiProblem(503, "Statuses cannot be looked up now.", headers={"Retry-After": str(RETRY_AFTER_S)})


def _explained(error: web.HTTPError) -> str:
    return http.HTTPStatus(error.status).description or error.reason


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-length")}


def _response(problem: ApiProblem) -> web.Response:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": http.HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        body["field"] = problem.field
    return web.Response(
        body=msgspec.json.encode(body), status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE
    )
