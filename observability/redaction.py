"""What must never reach a log, and how is it taken out?

Two nets. A field whose name ends in a word of `SENSITIVE` loses its value whole. Every other text, that of the
libraries' own messages and tracebacks included, loses what looks like a contact or a credential, by `PATTERNS`; a phone
number is one only with its ``+``, for bare digits may as well be an offset. A value of a type that is not listed in
`redact` is logged as its type's name: the repr of a record would spell out the person.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date
from os import PathLike, fspath
from typing import Any
from uuid import UUID

MASK = "***"
MAX_TEXT = 16_384

SENSITIVE = frozenset(
    {
        *("address", "addresses", "email", "msisdn", "phone", "to", "token"),
        *("title", "text", "body"),
        *("authorization", "credentials", "password", "secret"),
    }
)

_WORDS = "|".join(sorted(SENSITIVE))
_SEPARATOR = re.compile(r"[._-]")


def mask_phone(phone: str) -> str:
    """``+***67``: enough to tell two numbers apart, not to call one."""
    return f"+{MASK}{phone[-2:]}"


def mask_email(email: str) -> str:
    """``***@example.org``: the domain stays, for it is what a bounce is about."""
    return f"{MASK}@{email.rpartition('@')[2]}"


PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # The fields of a record in a repr or in JSON: body='…', "address": "…".
    (
        re.compile(rf"""\b({_WORDS})(['"]?\s*[=:]\s*)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.IGNORECASE),
        lambda found: f"{found[1]}{found[2]}{MASK}",
    ),
    # The user and password of a URL, before what follows them is taken for an email address.
    (re.compile(r"(?<=://)[^/\s@]{1,512}@"), lambda _: f"{MASK}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), lambda found: f"{found[1]} {MASK}"),
    # A device token of FCM.
    (re.compile(r"\b[\w-]{8,64}:[\w-]{64,}"), lambda _: MASK),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w.-]{1,253}\w"), lambda found: mask_email(found[0])),
    (re.compile(r"\+\d(?:[\s().-]{0,2}\d){6,14}"), lambda found: mask_phone(found[0])),
)


def redact_text(text: str) -> str:
    """Without contacts and credentials, cut at `MAX_TEXT` characters: a log line is no place for a document."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "…"
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any) -> Any:
    """A copy of the value that is fit to be logged as JSON."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(str(value))
        case Mapping():
            return redact_fields(value)
        case BaseException():
            return redact_text(f"{type(value).__name__}: {value}")
        case date() | UUID():
            return str(value)
        case PathLike():
            return redact_text(str(fspath(value)))
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Sequence() | Set():
            return [redact(item) for item in value]
        case _:
            return f"<{type(value).__name__}>"


def redact_fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields, with the values of sensitive names masked whole (``labels.address``, ``sms_token``)."""
    return {
        str(name): MASK if value is not None and _is_sensitive(str(name)) else redact(value)
        for name, value in fields.items()
    }


def _is_sensitive(name: str) -> bool:
    return _SEPARATOR.split(name.lower())[-1] in SENSITIVE
