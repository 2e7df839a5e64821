"""What is a cargo status event, whatever document it came in?"""

from datetime import UTC
from typing import Annotated

import msgspec
from msgspec import Meta

from pipeline import strict_json
from pipeline.errors import InvalidInput
from pipeline.notifications import SEPARATOR, Moment
from pipeline.vocabulary import MEANINGS, Classifier, EventType, StatusCode, kind

ID_LENGTH = 256
Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
Issuer = Annotated[str, Meta(max_length=ID_LENGTH)]
Name = Annotated[str, Meta(max_length=100)]
Remark = Annotated[str, Meta(max_length=5_000)]

EQUIPMENT = "EQ"
"""The type of a reference to a container."""

MAX_REFERENCES = 100
YEARS = range(1970, 2200)
"""Beyond them a time is a typing error, and near the ends of the calendar zones cannot be computed."""


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``unlocode`` is UN/LOCODE (``RUMOW``), ``name`` for people, ``facility`` the terminal's code."""

    unlocode: Name | None = None
    name: Name | None = None
    facility: Name | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A number that somebody knows the cargo by; ``type`` is DCSA's: BKG booking, EQ container, TRD bill of lading."""

    type: Name
    value: Name


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, or is expected to happen, to one shipment.

    ``issuer`` is who said so, ``revision`` when they last changed what they said; a ``retracted`` event never happened.
    Decoded and mapped events are `checked`.
    """

    event_id: Id
    shipment_id: Id
    status: StatusCode
    occurred_at: Moment
    classifier: Classifier = Classifier.ACTUAL
    issuer: Issuer = ""
    revision: Moment | None = None
    retracted: bool = False
    location: Location | None = None
    carrier: Name | None = None
    vessel: Name | None = None
    voyage: Name | None = None
    equipment: Name | None = None
    estimated_arrival: Moment | None = None
    reason: Remark | None = None
    references: Annotated[tuple[Reference, ...], Meta(max_length=MAX_REFERENCES)] = ()

    @property
    def identity(self) -> str:
        """The event in all its revisions: what repeats are recognised by."""
        return f"{self.issuer}{SEPARATOR}{self.event_id}"

    @property
    def key(self) -> str:
        """This revision of the event: what the ids of its notifications are made of."""
        if self.revision is None:
            return self.identity
        return f"{self.identity}{SEPARATOR}{self.revision.astimezone(UTC).isoformat()}"

    @property
    def kind(self) -> str:
        """The kind of template that tells it."""
        return kind(self.status, self.classifier)

    def referred(self, kind: str) -> str | None:
        """What the first reference of a type says."""
        for reference in self.references:
            if reference.type == kind:
                return reference.value
        return None

    @property
    def is_delay(self) -> bool:
        """A ship's or train's event that comes with a reason is a change of schedule, for the worse."""
        return bool(self.reason) and MEANINGS[self.status].type is EventType.TRANSPORT


_decoder = msgspec.json.Decoder(StatusEvent)


def decode(value: bytes | msgspec.Raw, prefix: str = "") -> StatusEvent:
    """An event of our own JSON. Raises `InvalidInput`, naming the field after ``prefix``."""
    return checked(strict_json.parse(_decoder, value, prefix), prefix)


def checked(event: StatusEvent, prefix: str = "", names: dict[str, str] | None = None) -> StatusEvent:
    """The event, if its parts agree. ``names`` says what a field was called in the document that it came in."""
    problem = _problem(event)
    if problem:
        field, text = problem
        raise InvalidInput(strict_json.join(prefix, (names or {}).get(field, field)), text)
    return event


def _problem(event: StatusEvent) -> tuple[str, str] | None:
    for field, text in (("event_id", event.event_id), ("shipment_id", event.shipment_id), ("issuer", event.issuer)):
        if not text.isprintable():
            return field, "holds a character that cannot be printed"
        if text and text.isspace():
            return field, "is blank"
    for field, moment in (
        ("occurred_at", event.occurred_at),
        ("revision", event.revision),
        ("estimated_arrival", event.estimated_arrival),
    ):
        if moment is not None and moment.year not in YEARS:
            return field, f"the year {moment.year} is not within {YEARS.start} to {YEARS.stop - 1}"
    if event.classifier is not Classifier.ACTUAL and MEANINGS[event.status].type is EventType.SHIPMENT:
        return "classifier", f"{event.status} can only have happened (ACT)"
    return None
