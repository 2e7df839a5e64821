"""Which events does one record of ``cargo.status.v1`` carry?

The header ``content-type`` names the document; a record without one, or with plain JSON, is told by its fields:

    event_id   our own event                 ``application/vnd.cargo-herald.status.v1+json``
    eventID    DCSA Track & Trace 2.2        ``application/vnd.dcsa.tnt.v2.2+json``
    events     DCSA Track & Trace 3.0        ``application/vnd.dcsa.tnt.v3.0+json``

The first two come one by one or as an array. Each event of a document stands for itself: one that is broken does not
take the others with it.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

import msgspec

from pipeline import dcsa_v2, dcsa_v3, events, strict_json
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent

MAX_EVENTS = 1_000

Decode = Callable[[bytes | msgspec.Raw, str], StatusEvent]


class ContentType(StrEnum):
    OWN = "application/vnd.cargo-herald.status.v1+json"
    DCSA_V2 = "application/vnd.dcsa.tnt.v2.2+json"
    DCSA_V3 = "application/vnd.dcsa.tnt.v3.0+json"


UNTOLD = frozenset({"", "application/json"})


class _Envelope(msgspec.Struct, frozen=True):
    events: list[msgspec.Raw]


class _Marks(msgspec.Struct, frozen=True, rename={"dcsa_id": "eventID"}):
    event_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dcsa_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_envelope = msgspec.json.Decoder(_Envelope)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_marks = msgspec.json.Decoder(_Marks)

_DECODERS: dict[ContentType, Decode] = {
    ContentType.OWN: events.decode,
    ContentType.DCSA_V2: dcsa_v2.decode,
    ContentType.DCSA_V3: dcsa_v3.decode,
}


def decode(value: bytes | None, content_type: str | None) -> list[StatusEvent | InvalidInput]:
    """One result per event of the document, in its order; one refusal for a document that cannot be taken apart."""
    try:
        accepted = strict_json.accept(value)
        told = _told(content_type)
        if told is not ContentType.DCSA_V3 and _is_array(accepted):
            items = _listed(strict_json.parse(_array, accepted), "")
            return _each(items, "", _DECODERS[told] if told else _untold)
        found = told or detect(accepted)
        if found is ContentType.DCSA_V3:
            return _each(_listed(strict_json.parse(_envelope, accepted).events, "events"), "events", dcsa_v3.decode)
        return [_DECODERS[found](accepted, "")]
    except InvalidInput as refusal:
        return [refusal]


def detect(value: bytes | msgspec.Raw, prefix: str = "") -> ContentType:
    """Which document a JSON object is. Raises `InvalidInput` where it has none of the fields that tell."""
    marks = strict_json.parse(_marks, value, prefix)
    if marks.event_id is not msgspec.UNSET:
        return ContentType.OWN
    if marks.events is not msgspec.UNSET:
        return ContentType.DCSA_V3
    if marks.dcsa_id is not msgspec.UNSET:
        return ContentType.DCSA_V2
    raise InvalidInput(
        strict_json.join(prefix, "eventID"), "missing: it has neither eventID (DCSA 2.2), events (3.0) nor event_id"
    )


@lru_cache(maxsize=256)
def _told(content_type: str | None) -> ContentType | None:
    name = (content_type or "").split(";", 1)[0].strip().lower()
    if name in UNTOLD:
        return None
    try:
        return ContentType(name)
    except ValueError:
        raise InvalidInput("content-type", f"unknown: {name[:80]!r}") from None


def _untold(value: bytes | msgspec.Raw, prefix: str) -> StatusEvent:
    found = detect(value, prefix)
    if found is ContentType.DCSA_V3:
        raise InvalidInput(strict_json.join(prefix, "events"), "a document of many events cannot stand in an array")
    return _DECODERS[found](value, prefix)


def _is_array(value: bytes) -> bool:
    return value[:1] == b"[" or value.lstrip(b" \t\r\n")[:1] == b"["


def _listed(items: list[msgspec.Raw], field: str) -> list[msgspec.Raw]:
    if not items:
        raise InvalidInput(field, "holds no event")
    if len(items) > MAX_EVENTS:
        raise InvalidInput(field, f"{len(items)} events, at most {MAX_EVENTS} are taken")
    return items


def _each(items: list[msgspec.Raw], field: str, decode_one: Decode) -> list[StatusEvent | InvalidInput]:
    results: list[StatusEvent | InvalidInput] = []
    for index, item in enumerate(items):
        try:
            results.append(decode_one(item, f"{field}[{index}]"))
        except InvalidInput as refusal:
            results.append(refusal)
    return results
