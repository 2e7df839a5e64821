"""Who is told about a shipment: the value of ``cargo.subscriptions.v1``, keyed by shipment; null takes it away."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from pipeline import strict_json
from pipeline.errors import InvalidInput
from pipeline.events import Id
from pipeline.notifications import Channel
from pipeline.vocabulary import StatusCode

MAX_RECIPIENTS = 1_000
MAX_EMAIL = 254
MAX_TOKEN = 4_096

Locale = Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Zone = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$")]

_ADDRESSES = {
    Channel.SMS: (re.compile(r"\+[1-9][0-9]{7,14}"), "not a phone number in E.164 (+ and 8 to 15 digits)"),
    Channel.EMAIL: (re.compile(rf"(?=.{{3,{MAX_EMAIL}}}\Z)[^@\s<>,;\"]+@[^@\s<>,;\"]+"), "not an email address"),
    Channel.PUSH: (re.compile(rf"[!-~]{{1,{MAX_TOKEN}}}"), f"not a device token (1 to {MAX_TOKEN} ASCII characters)"),
}


class Recipient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person to tell.

    ``recipient_id`` is the subscriber's own id of the person. ``channels`` defaults to every channel with an address;
    ``events`` to every status that is told by default (`pipeline.vocabulary`). ``timezone`` is an IANA name; one that
    is well formed but unknown is read as UTC, since the list of zones is the system's, not ours.
    """

    recipient_id: Id
    addresses: dict[Channel, str]
    locale: Locale = "en"
    timezone: Zone = "UTC"
    channels: tuple[Channel, ...] | None = None
    events: tuple[StatusCode, ...] | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    shipment_id: Id
    recipients: Annotated[tuple[Recipient, ...], Meta(max_length=MAX_RECIPIENTS)]


_decoder = msgspec.json.Decoder(Subscription)


def decode(value: bytes | None) -> Subscription | None:
    """The subscription, or None for a tombstone. Raises `InvalidInput`; what it says never quotes an address."""
    if value is None:
        return None
    subscription = strict_json.parse(_decoder, strict_json.accept(value))
    _check_id(subscription.shipment_id, "shipment_id")
    seen: set[str] = set()
    for index, recipient in enumerate(subscription.recipients):
        path = f"recipients[{index}]"
        _check_recipient(recipient, path)
        if recipient.recipient_id in seen:
            raise InvalidInput(f"{path}.recipient_id", "named twice in one subscription")
        seen.add(recipient.recipient_id)
    return subscription


def _check_recipient(recipient: Recipient, path: str) -> None:
    _check_id(recipient.recipient_id, f"{path}.recipient_id")
    if not recipient.addresses:
        raise InvalidInput(f"{path}.addresses", "holds no address")
    for channel, address in recipient.addresses.items():
        pattern, problem = _ADDRESSES[channel]
        if not pattern.fullmatch(address) or not address.isprintable():
            raise InvalidInput(f"{path}.addresses.{channel}", problem)
    for index, channel in enumerate(recipient.channels or ()):
        if channel not in recipient.addresses:
            raise InvalidInput(f"{path}.channels[{index}]", f"there is no address for {channel}")


def _check_id(text: str, field: str) -> None:
    if not text.isprintable() or text.isspace():
        raise InvalidInput(field, "is blank or holds a character that cannot be printed")
