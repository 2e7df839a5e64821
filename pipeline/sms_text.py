"""How many parts does an SMS take?

    alphabet                        one part    each of several
    GSM-7 (3GPP TS 23.038, 6.2.1)   160         153 septets; ``^{}\\[~]|€`` take two
    UCS-2, when one character is    70          67 units of UTF-16; characters beyond the BMP take two
    not in GSM-7

A character that takes two is never split over two parts.
"""

import re

GSM7_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = "\f^{}\\[~]|€"

_GSM7 = re.compile(f"[{re.escape(GSM7_BASIC + GSM7_EXTENSION)}]*")
_DOUBLE_IN_GSM7 = re.compile(f"[{re.escape(GSM7_EXTENSION)}]")
_DOUBLE_IN_UCS2 = re.compile("[\U00010000-\U0010ffff]")


def parts(text: str) -> int:
    """How many parts ``text`` is sent in; an empty one still takes one."""
    if _GSM7.fullmatch(text):
        return _parts(text, _DOUBLE_IN_GSM7, 160, 153)
    return _parts(text, _DOUBLE_IN_UCS2, 70, 67)


def _parts(text: str, double: re.Pattern[str], alone: int, together: int) -> int:
    doubles = {match.start() for match in double.finditer(text)}
    if len(text) + len(doubles) <= alone:
        return 1
    if not doubles:
        return -(-len(text) // together)
    count, free = 1, together
    for position in range(len(text)):
        width = 2 if position in doubles else 1
        if width > free:
            count, free = count + 1, together
        free -= width
    return count
