"""Email by SMTP: one transaction a message, over a few connections that are kept open."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from pipeline.errors import DeliveryError, NotAsked, Throttled
from pipeline.notifications import Channel, Notification
from pipeline.ports import Accepted, SendResult
from providers.deadline import latest_begin
from providers.email.addresses import parse_mailbox
from providers.email.connection import Envelope, Server, SmtpConnection
from providers.email.mime import Sender, build
from providers.ordering import by_recipient

QUIT_TIMEOUT_S = 1.0


class SmtpEmail:
    """`pipeline.ports.Provider` for email.

    A message's reference is its Message-ID, made from the notification's id: what a bounce and a postmaster go by. SMTP
    has no idempotency. A message that no connection was free for in time is `Throttled`: no call was made for it.
    """

    name = "smtp"
    channel = Channel.EMAIL
    max_messages = 20  # a slow relay must get through a call within its time
    key_lifetime_s = 0.0

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        user: str = "",
        password: str = "",
        tls: Literal["none", "starttls", "implicit"] = "none",
        timeout_s: float = 10.0,
        connections: int = 8,
    ) -> None:
        """Raises ValueError if ``sender`` is not like ``Name <local@domain>``."""
        self._sender = Sender.parse(sender)
        self._timeout_s = timeout_s
        self._connections = connections
        self.max_calls = connections
        server = Server(
            host=host,
            port=port,
            user=user,
            password=password,
            # Our own name would take a look-up, and the relays that we log in to do not care.
            hello=self._sender.domain,
            tls_context=None if tls == "none" else ssl.create_default_context(),
            implicit_tls=tls == "implicit",
        )
        # Last in, first out: few connections stay busy rather than many going stale.
        self._idle: asyncio.LifoQueue[SmtpConnection] = asyncio.LifoQueue()
        for _ in range(connections):
            self._idle.put_nowait(SmtpConnection(server))

    async def start(self) -> None:
        """Nothing to do: connections open when they are needed."""

    async def stop(self) -> None:
        idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        await asyncio.gather(*(connection.close(timeout_s=QUIT_TIMEOUT_S) for connection in idle))
        for connection in idle:
            self._idle.put_nowait(connection)

    async def send(self, notifications: Sequence[Notification]) -> Sequence[SendResult]:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        results: list[SendResult] = [Throttled("no connection was free in time")] * len(notifications)
        groups = by_recipient(notifications)
        waiting = iter(groups)
        workers = min(self._connections, len(groups))
        await asyncio.gather(*(self._work(notifications, waiting, results, deadline) for _ in range(workers)))
        return results

    async def _work(
        self,
        notifications: Sequence[Notification],
        groups: Iterator[list[int]],
        results: list[SendResult],
        deadline: float,
    ) -> None:
        """Take groups off the shared iterator over one connection until none is left or the time is up."""
        try:
            async with asyncio.timeout_at(latest_begin(deadline)):
                connection = await self._idle.get()
        except TimeoutError:
            return
        try:
            for group in groups:
                for position in group:
                    if asyncio.get_running_loop().time() >= latest_begin(deadline):
                        return
                    results[position] = await self._send_one(connection, notifications[position], deadline)
        finally:
            self._idle.put_nowait(connection)

    async def _send_one(self, connection: SmtpConnection, notification: Notification, deadline: float) -> SendResult:
        mailbox = parse_mailbox(notification.address)
        if mailbox is None:
            return NotAsked("not an address that email can be sent to", code="address")
        message_id, content = build(
            self._sender,
            mailbox,
            notification_id=notification.id,
            subject=notification.title,
            body=notification.body,
            date=datetime.now(UTC),
        )
        envelope = Envelope(self._sender.mailbox.wire, mailbox.wire, mailbox.needs_utf8, content)
        try:
            await connection.deliver(envelope, deadline=deadline)
        except DeliveryError as error:
            return error
        return Accepted(message_id)
