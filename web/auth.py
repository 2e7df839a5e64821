"""Who may ask? Whoever presents a key whose SHA-256 we hold, as ``X-API-Key`` or ``Authorization: Bearer``.

A digest without salt or stretching is enough for keys that are long and random, and for no others.
"""

import hashlib
import hmac
from collections.abc import Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from web.problems import ApiProblem

log = structlog.get_logger(__name__)


def authenticated(api_keys: Sequence[str]) -> Middleware:
    """``api_keys`` are SHA-256 digests in hex, as `settings` has checked; with none, every request is refused."""
    if not api_keys:
        log.warning("no API key is configured: every request to the API will be refused")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _known(_presented(request), api_keys):
            raise ApiProblem(401, "A valid API key is needed.", headers={"WWW-Authenticate": 'Bearer realm="herald"'})
        return await handler(request)

    return middleware


def _presented(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return request.headers.get("X-API-Key") or (token.strip() if scheme.lower() == "bearer" else "")


def _known(key: str, digests: Sequence[str]) -> bool:
    if not key:
        return False  # it has a digest, too
    presented = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    # A sum, not any(): every digest is compared, so that the time does not tell which one it was.
    return sum(hmac.compare_digest(presented, digest) for digest in digests) > 0
