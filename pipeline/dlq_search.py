"""Which shipments, events and people does a dead letter speak of? As far as its bytes can still be read.

    kind        fields, at any depth                                    and
    shipment    shipment_id, documentReferenceValue, reference,         the key, where it is text
                referenceValue, documentID, equipmentReference
    event       event_id, eventID
    recipient   recipient_id, recipient                                 the key, where it is text

Whatever was refused was refused for some reason: no schema is asked here, and what cannot be read names nothing. The
key of a record is the shipment or the recipient; which of the two, its bytes do not say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

SHIPMENT = frozenset(
    {"shipment_id", "documentReferenceValue", "reference", "referenceValue", "documentID", "equipmentReference"}
)
EVENT = frozenset({"event_id", "eventID"})
RECIPIENT = frozenset({"recipient_id", "recipient"})


@dataclass(frozen=True, slots=True)
class Names:
    shipments: frozenset[str]
    events: frozenset[str]
    recipients: frozenset[str]


def names(value: bytes | None, key: bytes | None) -> Names:
    """Never raises."""
    by_key = {key.decode(errors="replace")} if key else set()
    fields = list(_texts(_read(value)))
    return Names(
        shipments=frozenset(by_key | {text for field, text in fields if field in SHIPMENT}),
        events=frozenset(text for field, text in fields if field in EVENT),
        recipients=frozenset(by_key | {text for field, text in fields if field in RECIPIENT}),
    )


def _read(value: bytes | None) -> Any:
    try:
        return msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """Every field that holds text. Without recursion: strangers decide how deep it goes."""
    left = [document]
    while left:
        match left.pop():
            case dict() as fields:
                left += fields.values()
                yield from ((name, text) for name, text in fields.items() if isinstance(text, str))
            case list() as items:
                left += items
