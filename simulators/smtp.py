"""A mail server that takes every message and keeps none, but for its ledger. `aiosmtpd` speaks for it.

Each transaction is a call. ``reset`` and ``refuse`` befall it at RCPT, where mail servers refuse: its ledger line then
has no id. ``fail_first`` and the other faults come once the content is there, and with it the Message-ID.
"""

import re
from functools import partial

from aiosmtpd.smtp import SMTP, Envelope, Session

from simulators.faults import CallFault, Refusal
from simulators.ledger import Result
from simulators.listener import Factory, hang_up
from simulators.process import Simulation, argument_parser, run

HOSTNAME = "smtp.simulator.invalid"
MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^@>]*)@", re.MULTILINE | re.IGNORECASE)
THROTTLED = "451 4.7.1 too many messages, slow down"
FAILED = "451 4.3.0 not now"
PERMANENT_CODE, RETRYABLE_CODE = "550", "450"


class SmtpHandler:
    """aiosmtpd's hooks, under the names that it calls them by."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._plan = simulation.plan
        self._ledger = simulation.ledger

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._plan.faults.call is CallFault.RESET and self._plan.for_call():
            self._ledger.begin_request()
            hang_up(server.transport)
        elif refusal := self._plan.for_address(address):
            reply = reply_of(refusal)
            result = Result.FAILED if refusal.retryable else Result.REFUSED
            self._ledger.record(self._ledger.begin_request(), "", address, "", result, code=reply[:3])
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        number = self._ledger.begin_request()
        fault = None if self._plan.faults.call is CallFault.RESET else self._plan.for_call()
        content = envelope.content
        assert isinstance(content, bytes), "aiosmtpd was not told to decode"
        head, _, body = content.partition(b"\r\n\r\n")
        found = MESSAGE_ID.search(head)
        message_id = found[1].decode("ascii", "replace") if found else ""
        result, reply = self._judge(message_id, fault)
        self._ledger.record(
            number,
            message_id,
            envelope.rcpt_tos[0],
            body.decode("utf-8", "replace"),
            result,
            code="" if result is Result.ACCEPTED else reply[:3],
            fault=fault or "",
        )
        await self._simulation.lag()
        if fault is CallFault.ACCEPT_THEN_TIMEOUT:
            await self._simulation.hang()
        if fault is CallFault.ACCEPT_THEN_RESET:
            hang_up(server.transport)
        return "what a lovely day" if fault is CallFault.ACCEPT_THEN_GARBAGE else reply

    def _judge(self, message_id: str, fault: CallFault | None) -> tuple[Result, str]:
        if fault is CallFault.THROTTLE:
            return Result.THROTTLED, THROTTLED
        if fault is CallFault.ERROR:
            return Result.ERROR, f"{self._plan.faults.status or 451} simulated"
        if self._plan.fails_still(message_id):
            return Result.FAILED, FAILED
        return Result.ACCEPTED, "250 2.0.0 OK"


def reply_of(refusal: Refusal) -> str:
    code = refusal.code or (RETRYABLE_CODE if refusal.retryable else PERMANENT_CODE)
    return f"{code} {code[0]}.1.1 refused"


async def start(simulation: Simulation) -> Factory:
    handler = SmtpHandler(simulation)
    return partial(SMTP, handler, hostname=HOSTNAME, ident="simulator", enable_SMTPUTF8=True)


if __name__ == "__main__":
    run(argument_parser("Simulates a mail server.").parse_args(), start)
