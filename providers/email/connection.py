"""What does each step of an SMTP transaction promise, and what does its failure mean?

    MAIL, RCPT, DATA    nothing is told yet: whatever goes wrong, the message was certainly not sent
    the content         from the final dot on the server may have taken the message: silence is unconfirmed

- 4xx is transient, 5xx permanent (RFC 5321, 4.2.1). Except at MAIL: it blames our sender or credentials, which an
  operator can put right while the messages wait.
- 421 says that the server hangs up; so does anything that is no SMTP reply. The connection is given up.
- A connection that fails, a login that is turned down, 421 and a refused MAIL concern no single message: the server is
  unavailable.
- A reply's text may quote the address, so only its codes are kept.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from pipeline.errors import DeliveryError, PermanentError, TransientError, Unavailable, Unconfirmed

CONNECT_TIMEOUT_S = 3.0
CLOSING = 421
ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")


class Step(StrEnum):
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "the content"


EXPECTED: Mapping[Step, tuple[int, ...]] = {
    Step.MAIL: (250,),
    Step.RCPT: (250, 251),
    Step.DATA: (354,),
    Step.CONTENT: (250,),
}
REFUSALS: Mapping[int, type[DeliveryError]] = {4: TransientError, 5: PermanentError}


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where to connect and as whom; ``tls_context`` is None for plain text."""

    host: str
    port: int
    user: str
    password: str
    hello: str
    tls_context: ssl.SSLContext | None
    implicit_tls: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """``content`` ends in CRLF and is not dot-stuffed yet."""

    sender: bytes
    recipient: bytes
    needs_utf8: bool
    content: bytes


class SmtpConnection:
    """A connection that opens itself when it is needed and again when it was lost; one transaction at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            local_hostname=server.hello,
            # Every command runs under the deadline of its transaction.
            timeout=None,
            use_tls=server.implicit_tls,
            start_tls=server.tls_context is not None and not server.implicit_tls,
            tls_context=server.tls_context,
        )

    async def deliver(self, envelope: Envelope, *, deadline: float) -> None:
        """One transaction, until ``deadline`` on the loop's clock. Returns if the server took the message.

        Raises `DeliveryError`; the connection is then fit for the next transaction or closed.
        """
        try:
            await self._transact(envelope, deadline)
        except asyncio.CancelledError:
            # A reply may be on its way that the next transaction must not take for its own.
            self._client.close()
            raise

    async def close(self, *, timeout_s: float) -> None:
        """Say QUIT if there is anybody to say it to."""
        if self._client.is_connected:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._client.quit()
            except (SMTPException, OSError):
                self._client.close()

    async def _transact(self, envelope: Envelope, deadline: float) -> None:
        try:
            await self._mail(envelope, deadline)
            await self._run(Step.RCPT, b"RCPT", b"TO:<%b>" % envelope.recipient, deadline=deadline)
            await self._run(Step.DATA, b"DATA", deadline=deadline)
            await self._run(Step.CONTENT, envelope.content, deadline=deadline)
        except DeliveryError:
            await self._clear(deadline)
            raise

    async def _mail(self, envelope: Envelope, deadline: float) -> None:
        reused = self._client.is_connected
        if not reused:
            await self._connect(deadline)
        try:
            await self._begin(envelope, deadline)
        except TransientError:
            # Servers hang up on connections that were idle or have carried enough; that is no failure of the message.
            if not reused or self._client.is_connected:
                raise
            await self._connect(deadline)
            await self._begin(envelope, deadline)

    async def _begin(self, envelope: Envelope, deadline: float) -> None:
        options = []
        if envelope.needs_utf8:
            if not self._client.supports_extension("smtputf8"):
                raise PermanentError("the server takes no address outside ASCII", code="SMTPUTF8")
            options = [b"BODY=8BITMIME", b"SMTPUTF8"]
        await self._run(Step.MAIL, b"MAIL", b"FROM:<%b>" % envelope.sender, *options, deadline=deadline)

    async def _run(self, step: Step, *words: bytes, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                if step is Step.CONTENT:
                    response = await self._transfer(*words)
                else:
                    response = await self._client.execute_command(*words)
        except SMTPResponseException as error:
            self._client.close()
            raise _in_doubt(step)("the server broke the protocol") from error
        except (SMTPException, OSError) as error:
            self._client.close()
            raise _in_doubt(step)(f"the connection failed at {step}: {type(error).__name__}") from error
        if response.code in EXPECTED[step]:
            return
        if response.code == CLOSING or response.code // 100 not in REFUSALS:
            self._client.close()
        raise _refusal(step, response)

    async def _transfer(self, content: bytes) -> SMTPResponse:
        """Not `SMTP.data`: it hides whether an error came before the content went out or after."""
        protocol = self._client.protocol
        if protocol is None:
            raise ConnectionResetError
        protocol.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return await protocol.read_response()

    async def _clear(self, deadline: float) -> None:
        """End a transaction that was refused halfway."""
        if not self._client.is_connected:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._client.rset()
        except (SMTPException, OSError):
            self._client.close()

    async def _connect(self, deadline: float) -> None:
        """Raises `Unavailable`, whatever went wrong: nobody was told."""
        limit = min(deadline, asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout_at(limit):
                await self._client.connect()
                if self._client.is_ehlo_or_helo_needed:
                    await self._client.ehlo()
        except SMTPResponseException as error:
            self._client.close()
            raise Unavailable("the server turned the connection down", code=str(error.code)) from error
        except (SMTPException, OSError) as error:
            self._client.close()
            raise Unavailable(f"no connection: {type(error).__name__}") from error


def _in_doubt(step: Step) -> type[DeliveryError]:
    return Unconfirmed if step is Step.CONTENT else Unavailable


def _refusal(step: Step, response: SMTPResponse) -> DeliveryError:
    kind = REFUSALS.get(response.code // 100) or _in_doubt(step)
    if step is Step.MAIL or response.code == CLOSING:
        kind = Unavailable
    enhanced = ENHANCED_CODE.match(response.message)
    meaning = f" ({enhanced[0]})" if enhanced else ""
    return kind(f"the server refused {step}{meaning}", code=str(response.code))
