"""What can be said about cargo, and how does each status behave?

The words are DCSA Track & Trace's: four letters each, in 3.0 also as whole words (``LOADED``, ``GATED_IN``). Unknown
codes are refused, never guessed at: public tables contradict each other.
"""

from dataclasses import dataclass
from enum import StrEnum


class EventType(StrEnum):
    """What moved: the ship or train, the container, or the paper."""

    TRANSPORT = "TRANSPORT"
    EQUIPMENT = "EQUIPMENT"
    SHIPMENT = "SHIPMENT"


class Classifier(StrEnum):
    """Whether it is planned, expected, or has happened."""

    PLANNED = "PLN"
    ESTIMATED = "EST"
    ACTUAL = "ACT"


class StatusCode(StrEnum):
    ARRI = "ARRI"
    DEPA = "DEPA"
    LOAD = "LOAD"
    DISC = "DISC"
    GTIN = "GTIN"
    GTOT = "GTOT"
    STUF = "STUF"
    STRP = "STRP"
    PICK = "PICK"
    DROP = "DROP"
    INSP = "INSP"
    RSEA = "RSEA"
    RMVD = "RMVD"
    AVPU = "AVPU"
    AVDO = "AVDO"
    CUSS = "CUSS"
    CUSI = "CUSI"
    CUSR = "CUSR"
    CROS = "CROS"
    RECE = "RECE"
    DRFT = "DRFT"
    PENA = "PENA"
    PENU = "PENU"
    PENC = "PENC"
    CONF = "CONF"
    REJE = "REJE"
    APPR = "APPR"
    ISSU = "ISSU"
    SURR = "SURR"
    SUBM = "SUBM"
    VOID = "VOID"
    REQS = "REQS"
    CMPL = "CMPL"
    HOLD = "HOLD"
    RELS = "RELS"
    CANC = "CANC"


@dataclass(frozen=True, slots=True)
class Meaning:
    """``urgent`` statuses overtake bulk; those not ``told`` reach only recipients who name them."""

    code: StatusCode
    type: EventType
    english: str
    urgent: bool = False
    told: bool = True

    @property
    def word(self) -> str:
        """The whole word that 3.0 allows in place of the four letters."""
        return _as_word(self.english)


def _as_word(text: str) -> str:
    return text.upper().replace(" ", "_").replace("-", "_")


S, T = StatusCode, EventType

MEANINGS = {
    meaning.code: meaning
    for meaning in (
        Meaning(S.ARRI, T.TRANSPORT, "Arrived"),
        Meaning(S.DEPA, T.TRANSPORT, "Departed"),
        Meaning(S.LOAD, T.EQUIPMENT, "Loaded"),
        Meaning(S.DISC, T.EQUIPMENT, "Discharged"),
        Meaning(S.GTIN, T.EQUIPMENT, "Gated in"),
        Meaning(S.GTOT, T.EQUIPMENT, "Gated out"),
        Meaning(S.STUF, T.EQUIPMENT, "Stuffed"),
        Meaning(S.STRP, T.EQUIPMENT, "Stripped"),
        Meaning(S.PICK, T.EQUIPMENT, "Pick-up"),
        Meaning(S.DROP, T.EQUIPMENT, "Drop-off"),
        Meaning(S.INSP, T.EQUIPMENT, "Inspected"),
        Meaning(S.RSEA, T.EQUIPMENT, "Resealed", told=False),
        Meaning(S.RMVD, T.EQUIPMENT, "Removed", told=False),
        Meaning(S.AVPU, T.EQUIPMENT, "Available for Pick-up"),
        Meaning(S.AVDO, T.EQUIPMENT, "Available for Drop-off"),
        Meaning(S.CUSS, T.EQUIPMENT, "Customs Selected for Scan", urgent=True),
        Meaning(S.CUSI, T.EQUIPMENT, "Customs Selected for Inspection", urgent=True),
        Meaning(S.CUSR, T.EQUIPMENT, "Customs Released"),
        Meaning(S.CROS, T.EQUIPMENT, "Crossed"),
        Meaning(S.RECE, T.SHIPMENT, "Received", told=False),
        Meaning(S.DRFT, T.SHIPMENT, "Drafted", told=False),
        Meaning(S.PENA, T.SHIPMENT, "Pending Approval", told=False),
        Meaning(S.PENU, T.SHIPMENT, "Pending Update", told=False),
        Meaning(S.PENC, T.SHIPMENT, "Pending Confirmation", told=False),
        Meaning(S.CONF, T.SHIPMENT, "Confirmed"),
        Meaning(S.REJE, T.SHIPMENT, "Rejected", urgent=True),
        Meaning(S.APPR, T.SHIPMENT, "Approved"),
        Meaning(S.ISSU, T.SHIPMENT, "Issued"),
        Meaning(S.SURR, T.SHIPMENT, "Surrendered"),
        Meaning(S.SUBM, T.SHIPMENT, "Submitted", told=False),
        Meaning(S.VOID, T.SHIPMENT, "Void", urgent=True),
        Meaning(S.REQS, T.SHIPMENT, "Requested", told=False),
        Meaning(S.CMPL, T.SHIPMENT, "Completed"),
        Meaning(S.HOLD, T.SHIPMENT, "On Hold", urgent=True),
        Meaning(S.RELS, T.SHIPMENT, "Released"),
        Meaning(S.CANC, T.SHIPMENT, "Cancelled", urgent=True),
    )
}

_BY_WORD = {
    (meaning.type, word): meaning.code for meaning in MEANINGS.values() for word in (meaning.code.value, meaning.word)
} | {(T.SHIPMENT, "VOIDED"): S.VOID}  # later drafts of 3.0 renamed Void


def find(event_type: EventType, text: str) -> StatusCode | None:
    """The status that four letters or a whole word name among the codes of ``event_type``."""
    return _BY_WORD.get((event_type, text)) or _BY_WORD.get((event_type, _as_word(text)))


def kind(code: StatusCode, classifier: Classifier) -> str:
    """What one template tells: ``ARRI`` has happened, ``ARRI.EST`` is planned or expected (an ETA)."""
    return code.value if classifier is Classifier.ACTUAL else f"{code.value}.EST"


KINDS = tuple(MEANINGS) + tuple(
    f"{code}.EST" for code, meaning in MEANINGS.items() if meaning.type is not EventType.SHIPMENT
)
