"""A provider of SMS with a batch JSON API (the one that `providers.sms.batch_http` describes).

It honours idempotency keys: a message that was accepted is answered again as it was then, for as long as the process
lives. A refused one may come again.
"""

import hashlib

import msgspec
from aiohttp import web

from simulators.faults import CallFault
from simulators.ledger import Result
from simulators.listener import Factory, hang_up
from simulators.process import Simulation, argument_parser, http_factory, json_response, run

MAX_BODY_BYTES = 8_388_608
REFUSED_CODE = "invalid-number"
RETRYABLE_CODE = "operator-busy"
WHOLE_CALL = {CallFault.THROTTLE: Result.THROTTLED, CallFault.ERROR: Result.ERROR, CallFault.UNAUTHORIZED: Result.ERROR}


class Message(msgspec.Struct, frozen=True):
    id: str
    to: str
    text: str


class Call(msgspec.Struct, frozen=True):
    messages: list[Message]


class Accepted(msgspec.Struct, frozen=True, tag_field="status", tag="accepted"):
    id: str
    reference: str


class Rejected(msgspec.Struct, frozen=True, tag_field="status", tag="rejected"):
    id: str
    code: str
    reason: str
    retryable: bool


class SmsProvider:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._plan = simulation.plan
        self._ledger = simulation.ledger
        self._decoder = msgspec.json.Decoder(Call)
        self._accepted: set[str] = set()

    async def post(self, request: web.Request) -> web.Response:
        number = self._ledger.begin_request()
        fault = self._plan.for_call()
        if fault is CallFault.RESET:
            hang_up(request.transport)
            return web.Response()
        try:
            messages = self._decoder.decode(await request.read()).messages
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return web.Response(status=400, text=str(error))
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.Response(status=401)
        if fault in WHOLE_CALL:
            return await self._fail(number, messages, fault)
        results = [self._judge(number, message, fault) for message in messages]
        await self._simulation.lag()
        return await self._answer(request, results, fault)

    async def _fail(self, number: int, messages: list[Message], fault: CallFault) -> web.Response:
        faults = self._plan.faults
        status = {CallFault.THROTTLE: 429, CallFault.UNAUTHORIZED: 401}.get(fault, faults.status or 503)
        for message in messages:
            self._record(number, message, WHOLE_CALL[fault], str(status), fault)
        await self._simulation.lag()
        headers = {"Retry-After": f"{faults.retry_after_s:.0f}"} if status in {429, 503} else {}
        return web.Response(status=status, headers=headers)

    def _judge(self, number: int, message: Message, fault: CallFault | None) -> Accepted | Rejected:
        if message.id in self._accepted:
            self._record(number, message, Result.REPEAT, "", fault)
        elif refusal := self._plan.for_message(message.id, message.to):
            code = refusal.code or (RETRYABLE_CODE if refusal.retryable else REFUSED_CODE)
            self._record(number, message, Result.FAILED if refusal.retryable else Result.REFUSED, code, fault)
            return Rejected(message.id, code, f"{message.to} was refused", refusal.retryable)
        else:
            self._accepted.add(message.id)
            self._record(number, message, Result.ACCEPTED, "", fault)
        return Accepted(message.id, reference_of(message.id))

    def _record(self, number: int, message: Message, result: Result, code: str, fault: CallFault | None) -> None:
        self._ledger.record(number, message.id, message.to, message.text, result, code=code, fault=fault or "")

    async def _answer(
        self, request: web.Request, results: list[Accepted | Rejected], fault: CallFault | None
    ) -> web.Response:
        if fault is CallFault.ACCEPT_THEN_TIMEOUT:
            await self._simulation.hang()
        if fault is CallFault.ACCEPT_THEN_RESET:
            hang_up(request.transport)
        if fault is CallFault.ACCEPT_THEN_GARBAGE:
            return web.Response(text="<html>welcome to the captive portal</html>")
        if fault is CallFault.ACCEPT_THEN_WRONG_IDS:
            results = [msgspec.structs.replace(result, id=result.id[::-1]) for result in results]
        if fault is CallFault.ACCEPT_THEN_HALF:
            results = results[: len(results) // 2]
        return json_response({"results": results})


def reference_of(message_id: str) -> str:
    """The provider's own id of a message; the same for the same key."""
    return "sms-" + hashlib.blake2s(message_id.encode(), digest_size=8).hexdigest()


async def start(simulation: Simulation) -> Factory:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.post("/v1/messages", SmsProvider(simulation).post)])
    return await http_factory(app)


if __name__ == "__main__":
    run(argument_parser("Simulates a provider of SMS.").parse_args(), start)
