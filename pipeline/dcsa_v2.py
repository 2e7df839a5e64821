"""What does an event of DCSA Track & Trace 2.2 say in our words?

The standard: https://app.swaggerhub.com/apis/dcsaorg/DCSA_TNT/2.2.0
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from pipeline import strict_json
from pipeline.dcsa import IMPORTING, Dcsa, shipment_of, status_of
from pipeline.events import (
    EQUIPMENT,
    MAX_REFERENCES,
    Id,
    Location,
    Name,
    Reference,
    Remark,
    StatusEvent,
    checked,
)
from pipeline.notifications import Moment
from pipeline.vocabulary import Classifier, EventType

NAMES = {"event_id": "eventID", "occurred_at": "eventDateTime", "classifier": "eventClassifierCode"}


class DocumentReference(Dcsa, frozen=True):
    document_reference_type: Name
    document_reference_value: Name


class OtherReference(Dcsa, frozen=True):
    reference_type: Name
    reference_value: Name


class Vessel(Dcsa, frozen=True):
    vessel_name: Name | None = None
    vessel_operator_carrier_code: Name | None = None


class Place(Dcsa, frozen=True):
    location_name: Name | None = None
    un_location_code: Name | None = None
    facility_code: Name | None = None


class TransportCall(Dcsa, frozen=True):
    un_location_code: Name | None = None
    facility_code: Name | None = None
    location: Place | None = None
    vessel: Vessel | None = None
    export_voyage_number: Name | None = None
    import_voyage_number: Name | None = None


class Event(Dcsa, frozen=True):
    event_id: Id
    event_type: EventType
    event_classifier_code: Classifier
    event_date_time: Moment
    transport_event_type_code: Name | None = None
    equipment_event_type_code: Name | None = None
    shipment_event_type_code: Name | None = None
    document_id: Name | None = None
    document_type_code: Name | None = None
    document_references: Annotated[tuple[DocumentReference, ...], Meta(max_length=MAX_REFERENCES // 2 - 1)] = ()
    references: Annotated[tuple[OtherReference, ...], Meta(max_length=MAX_REFERENCES // 2 - 1)] = ()
    equipment_reference: Name | None = None
    event_location: Place | None = None
    transport_call: TransportCall | None = None
    delay_reason_code: Name | None = None
    change_remark: Remark | None = None
    reason: Remark | None = None


_decoder = msgspec.json.Decoder(Event)
_NO_CALL = TransportCall()
_NO_PLACE = Place()
_NO_VESSEL = Vessel()


def decode(value: bytes | msgspec.Raw, prefix: str = "") -> StatusEvent:
    """One event. Raises `InvalidInput`, naming the field after ``prefix``.

    An event of 2.2 has no revisions: the same ``eventID`` is the same event.
    """
    event = strict_json.parse(_decoder, value, prefix)
    status = status_of(
        event.event_type,
        {
            EventType.TRANSPORT: event.transport_event_type_code,
            EventType.EQUIPMENT: event.equipment_event_type_code,
            EventType.SHIPMENT: event.shipment_event_type_code,
        },
        prefix,
    )
    references = _references(event)
    equipment = event.equipment_reference or next((r.value for r in references if r.type == EQUIPMENT), None)
    call = event.transport_call or _NO_CALL
    vessel = call.vessel or _NO_VESSEL
    voyages = (call.import_voyage_number, call.export_voyage_number)
    return checked(
        StatusEvent(
            event_id=event.event_id,
            shipment_id=shipment_of(references, event.document_id, equipment, prefix, "documentReferences"),
            status=status,
            classifier=event.event_classifier_code,
            occurred_at=event.event_date_time,
            location=_location(event.event_location or _NO_PLACE, call),
            carrier=vessel.vessel_operator_carrier_code,
            vessel=vessel.vessel_name,
            voyage=(voyages[0] or voyages[1]) if status in IMPORTING else (voyages[1] or voyages[0]),
            equipment=equipment,
            reason=event.change_remark or event.delay_reason_code or event.reason,
            references=references,
        ),
        prefix,
        NAMES,
    )


def _references(event: Event) -> tuple[Reference, ...]:
    """The event's own document last: what it refers to outright goes before it."""
    found = [
        Reference(type=one.document_reference_type, value=one.document_reference_value)
        for one in event.document_references
    ]
    found += [Reference(type=one.reference_type, value=one.reference_value) for one in event.references]
    if event.document_type_code and event.document_id:
        found.append(Reference(type=event.document_type_code, value=event.document_id))
    return tuple(found)


def _location(place: Place, call: TransportCall) -> Location | None:
    where = call.location or _NO_PLACE
    unlocode = place.un_location_code or call.un_location_code or where.un_location_code
    name = place.location_name or where.location_name
    facility = place.facility_code or call.facility_code or where.facility_code
    if unlocode or name or facility:
        return Location(unlocode=unlocode, name=name, facility=facility)
    return None
