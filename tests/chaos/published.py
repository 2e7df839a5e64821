"""What does the feeder remember of each thing it published? A line of JSON, written when the broker's word was in."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from pipeline.notifications import Channel

# A header of every record on the status topic: who finds one there knows which line of the feeder's it is.
ID_HEADER = "chaos-id"


class Kind(StrEnum):
    SUBSCRIPTION = "subscription"
    EVENT = "event"
    POISON = "poison"


class Told(StrEnum):
    """What is known of a record: the broker has it, certainly has not, or perhaps has."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at`` in epoch seconds, when it was given to the client; coordinates where the broker has told, else -1.

    ``id`` is the event's, the poison's own, or a subscription's shipment. ``recipients`` and ``channels`` are those of
    a subscription, ``way`` is how a poison is broken, ``error`` the broker's word, for people.
    """

    kind: Kind
    id: str
    shipment: str
    at: float
    told: Told
    topic: str = ""
    partition: int = -1
    offset: int = -1
    recipients: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    way: str = ""
    error: str = ""


_decode = msgspec.json.Decoder(Line).decode


def read_lines(path: Path) -> Iterator[Line]:
    """The lines on disk; a last one that is still being written is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield _decode(line)
