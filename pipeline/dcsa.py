"""What do DCSA's two versions of Track & Trace have in common, once they are read?

A shipment is known by its booking, else by its shipping instruction, else by its transport document, else by whatever
document the event is about, else by the container: the first of `SHIPMENT_BY` that the event refers to.
"""

from collections.abc import Iterable

import msgspec

from pipeline.errors import InvalidInput
from pipeline.events import EQUIPMENT, Reference
from pipeline.strict_json import join
from pipeline.vocabulary import EventType, StatusCode, find

IMPORTING = frozenset({StatusCode.ARRI, StatusCode.DISC, StatusCode.GTOT})
"""They end a voyage; all others belong to the one that begins."""
SHIPMENT_BY = ("BKG", "CBR", "SHI", "TRD")


def rename(field: str) -> str:
    """DCSA's spelling of a field: ``event_id`` is ``eventID``, ``un_location_code`` is ``UNLocationCode``."""
    first, *rest = field.split("_")
    if first == "un":
        first = "UN"
    return first + "".join(part.upper() if part in ("id", "imo") else part.capitalize() for part in rest)


class Dcsa(msgspec.Struct, frozen=True, kw_only=True, rename=rename):
    """What every part of a document is; fields that it does not name are passed over."""


def shipment_of(
    documents: Iterable[Reference], about: str | None, equipment: str | None, prefix: str, field: str
) -> str:
    """Which shipment an event belongs to; ``about`` is the document of a SHIPMENT event, whatever its type.

    Raises `InvalidInput` for ``field`` when the event refers to nothing.
    """
    by_type = {reference.type: reference.value for reference in reversed(tuple(documents)) if reference.value}
    for kind in SHIPMENT_BY:
        if kind in by_type:
            return by_type[kind]
    found = about or equipment or by_type.get(EQUIPMENT)
    if not found:
        raise InvalidInput(join(prefix, field), "missing: no booking, document or container to go by")
    return found


def status_of(event_type: EventType, codes: dict[EventType, str | None], prefix: str) -> StatusCode:
    """The code that goes with the event's type. Raises `InvalidInput` where it is missing or unknown."""
    field = join(prefix, f"{event_type.lower()}EventTypeCode")
    text = codes[event_type]
    if text is None:
        raise InvalidInput(field, "missing")
    code = find(event_type, text)
    if code is None:
        raise InvalidInput(field, f"unknown code {text[:40]!r}")
    return code
