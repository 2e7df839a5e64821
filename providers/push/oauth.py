"""How is an access token had, kept and renewed? By the service account flow of OAuth 2.0 (RFC 7523)."""

import asyncio
import time
from urllib.parse import urlencode

import msgspec

from pipeline.errors import DeliveryError, Throttled, Unavailable
from providers.http import HttpClient, status_error
from providers.push.service_account import ServiceAccount

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
REFRESH_MARGIN_S = 60.0


class Grant(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


class AccessTokens:
    """One token for everybody, fetched by one caller at a time and renewed before it expires."""

    def __init__(self, account: ServiceAccount, http: HttpClient) -> None:
        self._account = account
        self._http = http
        self._fetching = asyncio.Lock()
        self._token = ""
        self._usable_until = 0.0

    async def get(self, *, deadline: float) -> str:
        """A token that is good for now.

        Raises `Throttled` where no connection was free in time, `Unavailable` whatever else went wrong: without a token
        nobody can have been told.
        """
        if self._is_usable():
            return self._token
        try:
            async with asyncio.timeout_at(deadline), self._fetching:
                if not self._is_usable():
                    await self._fetch(deadline)
                return self._token
        except TimeoutError as error:
            raise Unavailable("no access token in time") from error

    def forget(self, token: str) -> None:
        """The provider turned ``token`` down; a newer one that somebody else fetched meanwhile stays."""
        if token == self._token:
            self._usable_until = 0.0

    def _is_usable(self) -> bool:
        return asyncio.get_running_loop().time() < self._usable_until

    async def _fetch(self, deadline: float) -> None:
        asked_at = asyncio.get_running_loop().time()
        form = {"grant_type": GRANT_TYPE, "assertion": self._account.assertion(now=time.time())}
        try:
            answer = await self._http.post(
                self._account.token_uri, urlencode(form).encode(), HEADERS, deadline=deadline
            )
        except Throttled:
            raise  # for want of a connection of our own: nobody was asked
        except DeliveryError as error:
            raise _no_token(error) from error
        if answer.status != 200:
            # A 429 too: who asks for tokens too often can tell nobody, and the circuit is to know.
            raise _no_token(status_error(answer))
        try:
            grant = msgspec.json.decode(answer.body, type=Grant)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unavailable("no access token: the answer breaks its contract") from error
        self._token = grant.access_token
        self._usable_until = asked_at + max(grant.expires_in - REFRESH_MARGIN_S, grant.expires_in / 2)


def _no_token(error: DeliveryError) -> Unavailable:
    return Unavailable(f"no access token: {error.problem}", code=error.code, retry_after_s=error.retry_after_s)
