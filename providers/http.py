"""How do the HTTP adapters call, and what does each way for a call to fail mean?

A status or a network error says how far the request came:

- certainly not told: no connection, a redirect, 408, 425, 429, 503, and every other 4xx;
- perhaps told: a connection that broke or fell silent once the request was on its way, 500, 502, 504.

Of the 4xx only 400, 413 and 422 blame the messages. The rest (401, 403, 404 …) blame our credentials or address, which
an operator can put right while the messages wait: they are transient.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp

from pipeline.errors import DeliveryError, PermanentError, Throttled, Unavailable, Unconfirmed
from providers.deadline import latest_begin

STATUS_ERRORS: Mapping[int, type[DeliveryError]] = {
    400: PermanentError,
    413: PermanentError,
    422: PermanentError,
    429: Throttled,
    503: Unavailable,
}
RANGE_ERRORS: Mapping[int, type[DeliveryError]] = {3: Unavailable, 4: Unavailable}

CONNECT_TIMEOUT_S = 3.0
MAX_ANSWER_BYTES = 1_048_576
MAX_RETRY_AFTER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after_s: float | None
    body: bytes


class HttpClient:
    """POST over at most ``connections`` connections, which are reused."""

    def __init__(self, *, connections: int) -> None:
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, deadline: float) -> Answer:
        """Whatever the server answered, before ``deadline`` (on the running loop's clock).

        Raises `Throttled` if no connection was free in time: no call was made, so no attempt is spent. Raises
        `Unavailable` or `Unconfirmed` for what the network does. Redirects are not followed.
        """
        assert self._session is not None, "started"
        try:
            async with asyncio.timeout_at(latest_begin(deadline)):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Throttled("no connection was free in time") from error
        try:
            left_s = max(deadline - asyncio.get_running_loop().time(), 0.001)  # to aiohttp, 0 is for ever
            timeout = aiohttp.ClientTimeout(total=left_s, connect=min(CONNECT_TIMEOUT_S, left_s / 2))
            with _translated():
                async with self._session.post(
                    url, data=body, headers=headers, timeout=timeout, allow_redirects=False
                ) as response:
                    retry_after_s = parse_retry_after(response.headers.get("Retry-After"), now=time.time())
                    return Answer(response.status, retry_after_s, await _read(response))
        finally:
            self._slots.release()


def status_error(answer: Answer) -> DeliveryError:
    """What an answer other than 200 means for the messages of its call."""
    known = STATUS_ERRORS.get(answer.status) or RANGE_ERRORS.get(answer.status // 100, Unconfirmed)
    return known(f"the provider answered {answer.status}", code=str(answer.status), retry_after_s=answer.retry_after_s)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds from ``now`` (epoch), from either form of the header (RFC 9110, 10.2.3); at most a day, never negative.

    None where the header is absent or makes no sense: it comes from outside.
    """
    if value is None:
        return None
    if value.isascii() and value.strip().isdecimal():
        wait_s = float(value)
    else:
        try:
            due = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait_s = (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp() - now
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


@contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's errors as ours; the texts name no host, as a URL may carry secrets."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unavailable(f"no connection: {type(error).__name__}") from error
    except TimeoutError as error:
        raise Unconfirmed("no answer in time") from error
    except aiohttp.ClientError as error:
        raise Unconfirmed(f"the connection broke: {type(error).__name__}") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Unconfirmed("the answer is too long")
    return bytes(body)
