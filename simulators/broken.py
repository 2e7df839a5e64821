"""How can a record be broken? One way each; made from a sound event of 2.2, so that nothing else is wrong with it."""

import random
from collections.abc import Callable
from typing import Any

import msgspec

V2 = "application/vnd.dcsa.tnt.v2.2+json"
OVERSIZED_BYTES = 5_000_000

Json = dict[str, Any]
Breakage = Callable[[random.Random, Json], tuple[bytes | None, str | None]]


def _changed(**fields: Any) -> Breakage:
    return lambda rng, sound: (msgspec.json.encode(sound | fields), V2)


def _cut(rng: random.Random, sound: Json) -> tuple[bytes, str]:
    document = msgspec.json.encode(sound)
    return document[: rng.randrange(1, len(document) - 1)], V2


def _without(field: str) -> Breakage:
    return lambda rng, sound: (msgspec.json.encode({k: v for k, v in sound.items() if k != field}), V2)


BREAKAGES: dict[str, Breakage] = {
    "not JSON": _cut,
    "not UTF-8": lambda rng, sound: (msgspec.json.encode(sound).replace(b'"ACT"', b'"AC\xff"'), V2),
    "null": lambda rng, sound: (None, V2),
    "empty": lambda rng, sound: (b"", V2),
    "wrong type": _changed(eventDateTime=20_261_123),
    "unknown code": _changed(eventType="TRANSPORT", transportEventTypeCode="TELE"),
    "field missing": _without("eventID"),
    "time without zone": _changed(eventDateTime="2026-11-23T10:00:00"),
    "nested too deeply": lambda rng, sound: (b'{"eventID":' * 5_000, V2),
    "NUL in a string": _changed(eventID="a\0b"),
    "unknown content type": lambda rng, sound: (msgspec.json.encode(sound), "application/edifact"),
    "hostile header": lambda rng, sound: (msgspec.json.encode(sound), "text/html\r\nx: y\x00" * 50),
}


def oversized(sound: Json) -> tuple[bytes, str]:
    """Once a feed is enough: it takes 5 MB on the broker."""
    return msgspec.json.encode(sound | {"changeRemark": "x" * OVERSIZED_BYTES}), V2
