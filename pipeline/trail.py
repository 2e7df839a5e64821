"""What has a record been through? Kept in its headers, so that its value passes on byte for byte.

The first coordinates and the last error only: headers stay bounded however often a record comes back. They come from
outside like everything else, so sizes and ranges are checked.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pipeline.errors import InvalidInput
from pipeline.times import from_ms

PREFIX = "herald-"
MAX_VALUE_BYTES = 512
MAX_DUE_AHEAD_MS = 25 * 3_600_000
MAX_COUNT = 10_000
LATEST_MS = 253_402_300_799_999  # a publisher may set any time; Python knows none after 9999

HeaderList = list[tuple[str, bytes | None]]


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """Times are milliseconds since the epoch, 0 where there is none yet.

    ``attempts`` counts provider calls, or looks for a subscription; ``target`` is the topic that a waiting record goes
    back to; ``origin_*`` are the coordinates at which it was first seen; ``in_doubt`` says that one of the attempts may
    have been told; ``replay`` counts how often an operator took it out of the dead letters.
    """

    attempts: int = 0
    due_ms: int = 0
    target: str = ""
    first_seen_ms: int = 0
    origin_topic: str = ""
    origin_partition: int = 0
    origin_offset: int = 0
    origin_index: int = 0
    reason: str = ""
    error: str = ""
    provider: str = ""
    in_doubt: bool = False
    replay: int = 0

    @property
    def first_seen_at(self) -> datetime:
        return from_ms(min(self.first_seen_ms, LATEST_MS))


NAMES = {field: PREFIX + field.replace("_", "-") for field in Trail.__struct_fields__}
FIELDS = {name: field for field, name in NAMES.items()}
TYPES = {field.name: field.type for field in msgspec.structs.fields(Trail)}
DEFAULTS = Trail()


def read(headers: Sequence[tuple[str, bytes | None]] | None, now_ms: int) -> Trail:
    """Raises InvalidInput that names the header; headers that are not ours are passed over."""
    if not headers:
        return DEFAULTS
    found: dict[str, str | int | bool] = {}
    for name, raw in headers:
        field = FIELDS.get(name)
        if field is not None:
            found[field] = _value(name, TYPES[field], raw)
    trail = Trail(**found)  # type: ignore[arg-type]
    if trail.due_ms > now_ms + MAX_DUE_AHEAD_MS:
        raise InvalidInput(NAMES["due_ms"], "is more than a day ahead")
    return trail


def _value(name: str, kind: type, raw: bytes | None) -> str | int | bool:
    if raw is None or len(raw) > MAX_VALUE_BYTES:
        raise InvalidInput(name, f"must be 1 to {MAX_VALUE_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(name, "is not UTF-8") from error
    if kind is str:
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidInput(name, "is not a whole number")
    number = int(text)
    if kind is bool:
        return bool(number)
    if name in (NAMES["attempts"], NAMES["replay"]) and number > MAX_COUNT:
        raise InvalidInput(name, f"is above {MAX_COUNT}")
    return number


def write(trail: Trail) -> HeaderList:
    """Headers for every field that says something; texts are cut to what `read` accepts.

    Coordinates are written whole, so that whoever reads them need not know that a missing one means 0.
    """
    written: HeaderList = []
    for field, name in NAMES.items():
        value = getattr(trail, field)
        if value != getattr(DEFAULTS, field) or (trail.origin_topic and field.startswith("origin_")):
            text = value if isinstance(value, str) else str(int(value))
            written.append((name, cut(text)))
    return written


def cut(text: str) -> bytes:
    """As much of it as a header holds, without half a character at its end."""
    return text.encode()[:MAX_VALUE_BYTES].decode(errors="ignore").encode()


def header(headers: Sequence[tuple[str, bytes | None]] | None, name: str) -> str | None:
    """The first header of that name, in any case; None where it is missing or no text."""
    for key, value in headers or ():
        if key.lower() == name and value is not None:
            return value[:MAX_VALUE_BYTES].decode(errors="replace")
    return None
