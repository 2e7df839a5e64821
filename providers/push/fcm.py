"""Push through Firebase Cloud Messaging, HTTP v1: one call a message.

The table is Google's own (firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode), read as: can the device have been
told, and would the same call ever work? A body names its error twice, as ``details[].errorCode`` of type FcmError and
as the canonical ``status``; the more telling one comes first. Without either the HTTP status decides.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from pipeline.errors import DeliveryError, PermanentError, Throttled, TransientError, Unavailable, Unconfirmed
from pipeline.notifications import Channel, Notification
from pipeline.ports import Accepted, SendResult
from providers.http import Answer, HttpClient, status_error
from providers.ordering import by_recipient
from providers.push.oauth import AccessTokens
from providers.push.service_account import ServiceAccount

ERRORS: Mapping[str, type[DeliveryError]] = {
    "UNREGISTERED": PermanentError,
    "SENDER_ID_MISMATCH": PermanentError,
    "INVALID_ARGUMENT": PermanentError,
    "QUOTA_EXCEEDED": Throttled,
    "RESOURCE_EXHAUSTED": Throttled,
    "UNAVAILABLE": Unavailable,
    "INTERNAL": Unconfirmed,
    # Our credentials for one platform: its messages wait for an operator, the others' do not.
    "THIRD_PARTY_AUTH_ERROR": TransientError,
    # These three blame our project or credentials, not the message.
    "UNAUTHENTICATED": Unavailable,
    "PERMISSION_DENIED": Unavailable,
    "NOT_FOUND": Unavailable,
}


class Detail(msgspec.Struct, frozen=True):
    error_code: str = msgspec.field(name="errorCode", default="")


class Error(msgspec.Struct, frozen=True):
    status: str = ""
    details: tuple[Detail, ...] = ()


class ErrorBody(msgspec.Struct, frozen=True):
    error: Error


class Sent(msgspec.Struct, frozen=True):
    name: str


class FcmPush:
    """`pipeline.ports.Provider` for push.

    FCM multiplexes calls over HTTP/2; aiohttp speaks HTTP/1.1, so ``concurrency`` calls take as many connections.
    """

    name = "fcm"
    channel = Channel.PUSH
    max_messages = 50
    max_calls = 8
    key_lifetime_s = 0.0

    def __init__(
        self, url: str, credentials: ServiceAccount, *, timeout_s: float = 10.0, concurrency: int = 100
    ) -> None:
        self._url = f"{url.rstrip('/')}/v1/projects/{credentials.project_id}/messages:send"
        self._timeout_s = timeout_s
        self._http = HttpClient(connections=concurrency)
        self._tokens = AccessTokens(credentials, self._http)

    async def start(self) -> None:
        await self._http.start()

    async def stop(self) -> None:
        await self._http.stop()

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            await self._tokens.get(deadline=deadline)
        except DeliveryError as error:
            return [error] * len(notifications)

        async def send_in_order(positions: list[int]) -> list[SendResult]:
            return [await self._send_one(notifications[position], deadline) for position in positions]

        groups = by_recipient(notifications)
        answers = await asyncio.gather(*map(send_in_order, groups))
        results = {
            position: result
            for group, answered in zip(groups, answers, strict=True)
            for position, result in zip(group, answered, strict=True)
        }
        return [results[position] for position in range(len(notifications))]

    async def _send_one(self, notification: Notification, deadline: float) -> SendResult:
        try:
            answer, token = await self._call(notification, deadline)
            if answer.status == 401 and "THIRD_PARTY_AUTH_ERROR" not in error_codes(answer.body):
                # Revoked, or expired by a clock that disagrees with ours: a new token may do, once.
                self._tokens.forget(token)
                answer, _ = await self._call(notification, deadline)
        except DeliveryError as error:
            return error
        return translate(answer)

    async def _call(self, notification: Notification, deadline: float) -> tuple[Answer, str]:
        token = await self._tokens.get(deadline=deadline)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self._http.post(self._url, encode(notification), headers, deadline=deadline), token


def encode(notification: Notification) -> bytes:
    """The body of ``messages:send``; the id rides along for the device to recognise what it has shown."""
    return msgspec.json.encode(
        {
            "message": {
                "token": notification.address,
                "notification": {"title": notification.title, "body": notification.body},
                "data": {"notification_id": notification.id},
            }
        }
    )


def translate(answer: Answer) -> SendResult:
    if answer.status == 200:
        try:
            return Accepted(msgspec.json.decode(answer.body, type=Sent).name)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unconfirmed("the answer breaks its contract")
    for code in error_codes(answer.body):
        if code in ERRORS:
            return ERRORS[code](f"FCM answered {code}", code=code, retry_after_s=answer.retry_after_s)
    return status_error(answer)


def error_codes(body: bytes) -> list[str]:
    """The names that an error's body gives it, the most telling first; none if it is not one of FCM's."""
    try:
        error = msgspec.json.decode(body, type=ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [*(detail.error_code for detail in error.details), error.status]
