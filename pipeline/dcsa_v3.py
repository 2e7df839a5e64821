"""What does an event of DCSA Track & Trace 3.0 say in our words?

The standard: https://app.swaggerhub.com/apis/dcsaorg/DCSA_TNT/3.0.0. An event is unique by its id and its originating
party; a later ``eventUpdatedDateTime`` corrects it, ``isRetracted`` voids it.
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

CARRIER = "CA"
NAMES = {
    "event_id": "eventID",
    "occurred_at": "eventDateTime",
    "revision": "eventUpdatedDateTime",
    "classifier": "eventClassification.eventClassifierCode",
    "issuer": "eventRouting.originatingParty.partyCode",
}


class Party(Dcsa, frozen=True):
    party_code: Annotated[str, Meta(min_length=1, max_length=100)]
    code_list_provider: Annotated[str, Meta(max_length=100)] = ""
    party_function: Name | None = None


class EventRouting(Dcsa, frozen=True):
    originating_party: Party


class EventClassification(Dcsa, frozen=True):
    event_type_code: EventType
    event_classifier_code: Classifier
    transport_event_type_code: Name | None = None
    equipment_event_type_code: Name | None = None
    shipment_event_type_code: Name | None = None


class DocumentReference(Dcsa, frozen=True):
    type_code: Name
    reference: Name


class ShipmentDetails(Dcsa, frozen=True):
    document_reference: DocumentReference | None = None
    additional_document_references: Annotated[tuple[DocumentReference, ...], Meta(max_length=MAX_REFERENCES - 2)] = ()
    reason: Remark | None = None


class Vessel(Dcsa, frozen=True):
    vessel_name: Name | None = None


class Voyage(Dcsa, frozen=True):
    carrier_voyage_number: Name | None = None
    universal_voyage_reference: Name | None = None


class TransportCall(Dcsa, frozen=True):
    export_voyage_number_or_reference: Voyage | None = None
    import_voyage_number_or_reference: Voyage | None = None
    vessel_transport: Vessel | None = None


class TransportDetails(Dcsa, frozen=True):
    transport_call: TransportCall | None = None
    delay_reason_code: Name | None = None
    change_remark: Remark | None = None


class EquipmentDetails(Dcsa, frozen=True):
    equipment_reference: Name | None = None


class Place(Dcsa, frozen=True):
    location_name: Name | None = None
    un_location_code: Name | None = None
    facility_code: Name | None = None


class Event(Dcsa, frozen=True):
    event_id: Id
    event_date_time: Moment
    event_routing: EventRouting
    event_classification: EventClassification
    event_updated_date_time: Moment | None = None
    is_retracted: bool = False
    event_location: Place | None = None
    shipment_details: ShipmentDetails | None = None
    transport_details: TransportDetails | None = None
    equipment_details: EquipmentDetails | None = None


_decoder = msgspec.json.Decoder(Event)
_NO_SHIPMENT = ShipmentDetails()
_NO_TRANSPORT = TransportDetails()
_NO_CALL = TransportCall()


def decode(value: bytes | msgspec.Raw, prefix: str = "") -> StatusEvent:
    """One of a document's ``events``. Raises `InvalidInput`, naming the field after ``prefix``."""
    event = strict_json.parse(_decoder, value, prefix)
    says = event.event_classification
    status = status_of(
        says.event_type_code,
        {
            EventType.TRANSPORT: says.transport_event_type_code,
            EventType.EQUIPMENT: says.equipment_event_type_code,
            EventType.SHIPMENT: says.shipment_event_type_code,
        },
        strict_json.join(prefix, "eventClassification"),
    )
    party = event.event_routing.originating_party
    shipment = event.shipment_details or _NO_SHIPMENT
    transport = event.transport_details or _NO_TRANSPORT
    call = transport.transport_call or _NO_CALL
    equipment = event.equipment_details.equipment_reference if event.equipment_details else None
    about = shipment.document_reference.reference if shipment.document_reference else None
    references = _references(shipment, equipment)
    return checked(
        StatusEvent(
            event_id=event.event_id,
            shipment_id=shipment_of(references, about, equipment, prefix, "shipmentDetails.documentReference"),
            status=status,
            classifier=says.event_classifier_code,
            occurred_at=event.event_date_time,
            issuer=f"{party.code_list_provider}:{party.party_code}",
            revision=event.event_updated_date_time,
            retracted=event.is_retracted,
            location=_location(event.event_location),
            carrier=party.party_code if party.party_function == CARRIER else None,
            vessel=call.vessel_transport.vessel_name if call.vessel_transport else None,
            voyage=_voyage(call, importing=status in IMPORTING),
            equipment=equipment,
            reason=transport.change_remark or transport.delay_reason_code or shipment.reason,
            references=references,
        ),
        prefix,
        NAMES,
    )


def _references(shipment: ShipmentDetails, equipment: str | None) -> tuple[Reference, ...]:
    documents = shipment.additional_document_references
    if shipment.document_reference:
        documents = (shipment.document_reference, *documents)
    found = [Reference(type=one.type_code, value=one.reference) for one in documents]
    if equipment:
        found.append(Reference(type=EQUIPMENT, value=equipment))
    return tuple(found)


def _voyage(call: TransportCall, *, importing: bool) -> str | None:
    ways = [call.export_voyage_number_or_reference, call.import_voyage_number_or_reference]
    for way in reversed(ways) if importing else ways:
        number = way and (way.carrier_voyage_number or way.universal_voyage_reference)
        if number:
            return number
    return None


def _location(place: Place | None) -> Location | None:
    if place and (place.un_location_code or place.location_name or place.facility_code):
        return Location(unlocode=place.un_location_code, name=place.location_name, facility=place.facility_code)
    return None
