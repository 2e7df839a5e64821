"""SMS through a batch JSON API: one POST for many messages, an answer for each.

    → {"messages": [{"id", "to", "text"}]}
    ← 200 {"results": [{"id", "status": "accepted", "reference"}
                     | {"id", "status": "rejected", "code", "reason", "retryable"}]}

A message's ``id`` is its idempotency key, which the provider keeps for 24 h.

- A result is trusted only if it names a message of this call, once, with a status that we know; a message without such
  a result is unconfirmed.
- ``reason`` is free text that may quote the number or the text, so only ``code`` is kept of a refusal.
- 400, 413 and 422 refuse a whole call for what one message may have done: the call is halved until the culprit stands
  alone. Nobody was told, so this repeats nothing.
- 401 and 403 make the provider unavailable: credentials can be put right while the messages wait.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from pipeline.errors import DeliveryError, PermanentError, TransientError, Unconfirmed
from pipeline.notifications import Channel, Notification
from pipeline.ports import Accepted, SendResult
from providers.http import HttpClient, status_error

SAFE_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Message(msgspec.Struct, frozen=True):
    id: str
    to: str
    text: str


class Call(msgspec.Struct, frozen=True):
    messages: list[Message]


class Result(msgspec.Struct, frozen=True):
    id: str
    status: str
    reference: str = ""
    code: str = ""
    retryable: bool = False


class Results(msgspec.Struct, frozen=True):
    results: list[Result]


class BatchHttpSms:
    """`pipeline.ports.Provider` for SMS."""

    name = "batch-http-sms"
    channel = Channel.SMS
    key_lifetime_s = 86_400.0

    def __init__(
        self, url: str, token: str, *, timeout_s: float = 10.0, connections: int = 32, max_messages: int = 100
    ) -> None:
        self.max_messages = max_messages
        self.max_calls = connections
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._timeout_s = timeout_s
        self._http = HttpClient(connections=connections)
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Results)

    async def start(self) -> None:
        await self._http.start()

    async def stop(self) -> None:
        await self._http.stop()

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        return await self._send(notifications, asyncio.get_running_loop().time() + self._timeout_s)

    async def _send(self, notifications: Sequence[Notification], deadline: float) -> list[SendResult]:
        try:
            results = await self._call(notifications, deadline)
        except PermanentError as refusal:
            if len(notifications) == 1:
                return [refusal]
            half = len(notifications) // 2
            first = await self._send(notifications[:half], deadline)
            return first + await self._send(notifications[half:], deadline)
        except DeliveryError as error:
            return [error] * len(notifications)
        return match_results(notifications, results)

    async def _call(self, notifications: Sequence[Notification], deadline: float) -> list[Result]:
        body = self._encoder.encode(Call([Message(n.id, n.address, n.body) for n in notifications]))
        answer = await self._http.post(self._url, body, self._headers, deadline=deadline)
        if answer.status != 200:
            raise status_error(answer)
        try:
            return self._decoder.decode(answer.body).results
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unconfirmed("the answer breaks its contract") from error


def match_results(notifications: Sequence[Notification], results: Sequence[Result]) -> list[SendResult]:
    """One result per notification, in order, out of whatever the provider answered."""
    by_id = {result.id: result for result in results}
    times = Counter(result.id for result in results) if len(by_id) < len(results) else None
    return [
        Unconfirmed("the answer has two results for the message")
        if times is not None and times[notification.id] > 1
        else _translate(by_id.get(notification.id))
        for notification in notifications
    ]


def _translate(result: Result | None) -> SendResult:
    if result is None:
        return Unconfirmed("the answer has no result for the message")
    if result.status == "accepted":
        return Accepted(result.reference)
    if result.status == "rejected":
        kind = TransientError if result.retryable else PermanentError
        return kind("the provider refused the message", code=result.code if SAFE_CODE.fullmatch(result.code) else "")
    return Unconfirmed("the answer has a status that is not known")
