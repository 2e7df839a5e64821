"""Firebase Cloud Messaging, HTTP v1, with the token endpoint of Google's service accounts.

The token endpoint checks the assertion as Google does: RS256 signature, issuer, audience, scope, lifetime. Access
tokens expire after ``--token-lifetime-s``. FCM has no idempotency: what comes twice is told twice.
"""

import argparse
import secrets
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiohttp import web
from google.auth import exceptions, jwt

from simulators.faults import CallFault
from simulators.key_file import PublicSide, read_public_side
from simulators.ledger import Result
from simulators.listener import Factory, hang_up
from simulators.process import Simulation, argument_parser, http_factory, json_response, run

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class Failure(NamedTuple):
    """How FCM says no: HTTP status, canonical status, FCM's own code."""

    http: int
    status: str
    code: str


FAILURES = {
    failure.code or failure.status: failure
    for failure in (
        Failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        Failure(401, "UNAUTHENTICATED", ""),
        Failure(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
        Failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        Failure(404, "NOT_FOUND", "UNREGISTERED"),
        Failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        Failure(500, "INTERNAL", "INTERNAL"),
        Failure(503, "UNAVAILABLE", "UNAVAILABLE"),
    )
}
BY_HTTP = {failure.http: failure for failure in FAILURES.values() if failure.code}
THROTTLED, UNAUTHORIZED = FAILURES["QUOTA_EXCEEDED"], FAILURES["UNAUTHENTICATED"]
WHOLE_CALL = {
    CallFault.THROTTLE: (THROTTLED, Result.THROTTLED),
    CallFault.UNAUTHORIZED: (UNAUTHORIZED, Result.ERROR),
}


class Notice(msgspec.Struct, frozen=True):
    title: str
    body: str


class Message(msgspec.Struct, frozen=True):
    token: str
    notification: Notice
    data: dict[str, str]

    @property
    def id(self) -> str:
        return self.data.get("notification_id", "")


class Call(msgspec.Struct, frozen=True):
    message: Message


class FcmProvider:
    def __init__(self, simulation: Simulation, account: PublicSide, token_lifetime_s: float) -> None:
        self._simulation = simulation
        self._plan = simulation.plan
        self._ledger = simulation.ledger
        self._account = account
        self._token_lifetime_s = token_lifetime_s
        self._tokens: dict[str, float] = {}

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != GRANT_TYPE:
            return json_response({"error": "unsupported_grant_type"}, status=400)
        try:
            claims = jwt.decode(
                str(form.get("assertion")), certs=self._account.public_key, audience=self._account.token_uri
            )  # type: ignore[no-untyped-call]
        except (ValueError, exceptions.GoogleAuthError) as error:
            return json_response({"error": "invalid_grant", "error_description": str(error)}, status=400)
        if claims.get("iss") != self._account.client_email or claims.get("scope") != SCOPE:
            return json_response({"error": "invalid_scope"}, status=400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = time.monotonic() + self._token_lifetime_s
        self._ledger.count_token()
        return json_response({"access_token": token, "expires_in": self._token_lifetime_s, "token_type": "Bearer"})

    async def send(self, request: web.Request) -> web.Response:
        number = self._ledger.begin_request()
        fault = self._plan.for_call()
        if fault is CallFault.RESET:
            hang_up(request.transport)
            return web.Response()
        if not self._is_authorized(request):
            return refuse(UNAUTHORIZED)
        if request.match_info["project"] != self._account.project_id:
            return refuse(Failure(403, "PERMISSION_DENIED", ""))
        try:
            message = msgspec.json.decode(await request.read(), type=Call).message
        except (msgspec.DecodeError, UnicodeDecodeError):
            return refuse(FAILURES["INVALID_ARGUMENT"])
        record = partial(
            self._ledger.record,
            number,
            message.id,
            message.token,
            message.notification.title + message.notification.body,
            fault=fault or "",
        )
        await self._simulation.lag()
        if failed := self._judge(message, fault):
            failure, result = failed
            record(result, code=failure.code or failure.status)
            return refuse(failure, self._plan.faults.retry_after_s)
        record(Result.ACCEPTED)
        return await self._answer(request, number, fault)

    def _is_authorized(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and self._tokens.get(token, 0.0) > time.monotonic()

    def _judge(self, message: Message, fault: CallFault | None) -> tuple[Failure, Result] | None:
        """How the message fails, if it does."""
        if fault is CallFault.ERROR:
            return BY_HTTP[self._plan.faults.status or 503], Result.ERROR
        if fault in WHOLE_CALL:
            return WHOLE_CALL[fault]
        if refusal := self._plan.for_message(message.id, message.token):
            if refusal.retryable:
                return FAILURES[refusal.code or "UNAVAILABLE"], Result.FAILED
            return FAILURES[refusal.code or "UNREGISTERED"], Result.REFUSED
        return None

    async def _answer(self, request: web.Request, number: int, fault: CallFault | None) -> web.Response:
        if fault is CallFault.ACCEPT_THEN_TIMEOUT:
            await self._simulation.hang()
        if fault is CallFault.ACCEPT_THEN_RESET:
            hang_up(request.transport)
        if fault is CallFault.ACCEPT_THEN_GARBAGE:
            return web.Response(text="<html>welcome to the captive portal</html>")
        name = f"projects/{self._account.project_id}/messages/{number}"
        return json_response({"name": name})


def refuse(failure: Failure, retry_after_s: float | None = None) -> web.Response:
    """An error as google.rpc.Status has it."""
    details = [{"@type": FCM_ERROR, "errorCode": failure.code}] if failure.code else []
    wait = retry_after_s is not None and failure.http in {429, 503}
    return json_response(
        {"error": {"code": failure.http, "message": "simulated", "status": failure.status, "details": details}},
        status=failure.http,
        headers={"Retry-After": f"{retry_after_s:.0f}"} if wait else None,
    )


async def start(options: argparse.Namespace, simulation: Simulation) -> Factory:
    provider = FcmProvider(simulation, read_public_side(options.credentials), options.token_lifetime_s)
    app = web.Application()
    app.add_routes(
        [web.post("/token", provider.token), web.post("/v1/projects/{project}/messages:send", provider.send)]
    )
    return await http_factory(app)


def main() -> None:
    parser = argument_parser("Simulates Firebase Cloud Messaging.")
    parser.add_argument("--credentials", type=Path, required=True, help="the key file that clients sign with")
    parser.add_argument("--token-lifetime-s", type=float, default=3_600.0, help="how long an access token lives")
    options = parser.parse_args()
    run(options, partial(start, options))


if __name__ == "__main__":
    main()
