"""Can this be the address of an SMTP envelope?

Only what needs no quoting: a dot-string before the ``@`` and a domain after it (RFC 5321, 4.1.2, with the characters of
RFC 6531). Quoted local parts and address literals are valid by the letter, unknown among real recipients, and the usual
vehicle of command injection, so they are refused.
"""

import re
from dataclasses import dataclass

MAX_BYTES = 254
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
LABEL = r"[A-Za-z0-9\u00a1-\U0010ffff-]+"
MAILBOX = re.compile(rf"{ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """``wire`` is what goes between the angle brackets; ``needs_utf8`` asks for SMTPUTF8."""

    wire: bytes
    needs_utf8: bool


def parse_mailbox(address: str) -> Mailbox | None:
    """None if no message can be sent there."""
    if not MAILBOX.fullmatch(address) or any(map(str.isspace, address)):
        return None
    try:
        wire = address.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return Mailbox(wire, needs_utf8=not address.isascii()) if len(wire) <= MAX_BYTES else None
