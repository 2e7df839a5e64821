"""How does a shipment travel, told in DCSA's documents? Builds them; what they are for is the feed's."""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]

PARTY = {"partyCode": "EXLI", "codeListProvider": "SMDG", "codeListName": "LCL", "partyFunction": "CA"}
PORTS = (
    ("CNSHA", "Shanghai"),
    ("NLRTM", "Rotterdam"),
    ("RULED", "Saint Petersburg"),
    ("TRIST", "Istanbul"),
    ("AEJEA", "Jebel Ali"),
    ("INNSA", "Nhava Sheva"),
)
VESSELS = ("Northern Pioneer", "Baltic Horizon", "Pacific Courier", "Volga Star")
TYPES = {"ARRI": "TRANSPORT", "DEPA": "TRANSPORT", "CONF": "SHIPMENT", "DRFT": "SHIPMENT", "ISSU": "SHIPMENT"}
WORDS = {
    "CONF": "CONFIRMED",
    "GTIN": "GATED_IN",
    "LOAD": "LOADED",
    "DEPA": "DEPARTED",
    "ARRI": "ARRIVED",
    "DISC": "DISCHARGED",
    "GTOT": "GATED_OUT",
}


@dataclass(frozen=True)
class Leg:
    """One step of the plan: reported ``told_h`` hours after booking; ``in_h`` hours later for what is yet to come."""

    told_h: int
    code: str
    port: int = 0
    classifier: str = "ACT"
    in_h: int = 0
    delay: str | None = None


PLAN = (
    Leg(0, "CONF"),
    Leg(20, "DRFT"),
    Leg(24, "DEPA", classifier="PLN", in_h=72),
    Leg(60, "GTIN"),
    Leg(80, "LOAD"),
    Leg(84, "ISSU"),
    Leg(97, "DEPA"),
    Leg(98, "ARRI", port=1, classifier="EST", in_h=400),
    Leg(300, "ARRI", port=1, classifier="EST", in_h=230, delay="WEA"),
    Leg(528, "ARRI", port=1),
    Leg(540, "DISC", port=1),
    Leg(545, "CUSI", port=1),
    Leg(570, "CUSR", port=1),
    Leg(590, "GTOT", port=1),
)


@dataclass(frozen=True)
class Shipment:
    booking: str
    container: str
    vessel: str
    ports: tuple[tuple[str, str], tuple[str, str]]
    booked_at: datetime


@dataclass(frozen=True)
class Event:
    """What a document says, before it is put into one version's shape."""

    id: str
    shipment: Shipment
    leg: Leg
    occurred_at: datetime
    updated_at: datetime
    retracted: bool = False

    def corrected(self, by: timedelta) -> "Event":
        return replace(self, occurred_at=self.occurred_at + by, updated_at=self.updated_at + timedelta(hours=1))

    def withdrawn(self) -> "Event":
        return replace(self, retracted=True, updated_at=self.updated_at + timedelta(hours=2))


def shipment(rng: random.Random, number: int, start: datetime) -> Shipment:
    origin, destination = rng.sample(PORTS, 2)
    return Shipment(
        booking=f"EXB{number:07d}",
        container=f"EXLU{rng.randrange(10_000_000):07d}",
        vessel=rng.choice(VESSELS),
        ports=(origin, destination),
        booked_at=start + timedelta(minutes=rng.randrange(1_440)),
    )


def journey(rng: random.Random, cargo: Shipment) -> list[Event]:
    """The whole plan, with an inspection by customs for one shipment in four."""
    inspected = rng.random() < 0.25
    told = [(leg, cargo.booked_at + timedelta(hours=leg.told_h, minutes=rng.randrange(60))) for leg in PLAN]
    return [
        Event(f"{cargo.booking}-{index:02d}", cargo, leg, at + timedelta(hours=leg.in_h), at)
        for index, (leg, at) in enumerate(told)
        if inspected or leg.code != "CUSI"
    ]


def as_v2(event: Event) -> Json:
    """A single event of Track & Trace 2.2."""
    cargo, leg = event.shipment, event.leg
    event_type = TYPES.get(leg.code, "EQUIPMENT")
    unlocode, name = cargo.ports[leg.port]
    common: Json = {
        "eventID": event.id,
        "eventCreatedDateTime": event.updated_at.isoformat(),
        "eventType": event_type,
        "eventClassifierCode": leg.classifier,
        "eventDateTime": event.occurred_at.isoformat(),
        f"{event_type.lower()}EventTypeCode": leg.code,
        "references": [{"referenceType": "EQ", "referenceValue": cargo.container}],
    }
    if event_type == "SHIPMENT":
        return common | {"documentTypeCode": "BKG", "documentID": cargo.booking}
    call: Json = {
        "transportCallID": f"{cargo.booking}-{leg.port}",
        "UNLocationCode": unlocode,
        "facilityTypeCode": "POTE",
        "modeOfTransport": "VESSEL",
        "exportVoyageNumber": "2612W",
        "importVoyageNumber": "2612E",
        "vessel": {"vesselName": cargo.vessel, "vesselOperatorCarrierCode": PARTY["partyCode"]},
    }
    about: Json = {
        "documentReferences": [{"documentReferenceType": "BKG", "documentReferenceValue": cargo.booking}],
        "transportCall": call,
        "eventLocation": {"locationName": name, "UNLocationCode": unlocode},
    }
    if event_type == "EQUIPMENT":
        about |= {"equipmentReference": cargo.container, "ISOEquipmentCode": "22GP", "emptyIndicatorCode": "LADEN"}
    if leg.delay:
        about |= {"delayReasonCode": leg.delay, "changeRemark": "Bad weather"}
    return common | about


def as_v3(event: Event, *, words: bool = False) -> Json:
    """One of the ``events`` of Track & Trace 3.0; ``words`` spells codes out where the standard has a word."""
    cargo, leg = event.shipment, event.leg
    event_type = TYPES.get(leg.code, "EQUIPMENT")
    unlocode, name = cargo.ports[leg.port]
    document: Json = {
        "eventRouting": {"originatingParty": PARTY},
        "eventID": event.id,
        "eventDateTime": event.occurred_at.isoformat(),
        "eventUpdatedDateTime": event.updated_at.isoformat(),
        "isRetracted": event.retracted,
        "eventClassification": {
            "eventTypeCode": event_type,
            "eventClassifierCode": leg.classifier,
            f"{event_type.lower()}EventTypeCode": WORDS.get(leg.code, leg.code) if words else leg.code,
        },
        "shipmentDetails": {"documentReference": {"typeCode": "BKG", "reference": cargo.booking}},
    }
    if event_type == "SHIPMENT":
        return document
    document["eventLocation"] = {"locationName": name, "UNLocationCode": unlocode, "facilityTypeCode": "POTE"}
    if event_type == "EQUIPMENT":
        document["equipmentDetails"] = {"equipmentReference": cargo.container, "ISOEquipmentCode": "22GP"}
    transport: Json = {
        "transportCall": {
            "transportCallReference": f"{cargo.booking}-{leg.port}",
            "modeOfTransport": "VESSEL",
            "exportVoyageNumberOrReference": {"carrierVoyageNumber": "2612W"},
            "importVoyageNumberOrReference": {"carrierVoyageNumber": "2612E"},
            "vesselTransport": {"vesselName": cargo.vessel},
        }
    }
    if leg.delay:
        transport |= {"delayReasonCode": leg.delay, "changeRemark": "Bad weather"}
    document["transportDetails"] = transport
    return document
