"""Every document is either events or refusals that name the field; nothing else ever comes out."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import documents
from pipeline.documents import MAX_EVENTS, ContentType
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.strict_json import MAX_BYTES
from pipeline.vocabulary import MEANINGS, Classifier, StatusCode

FIXTURES = Path(__file__).parents[2] / "fixtures"
Json = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((FIXTURES / name).read_bytes())


OWN: Json = load("status-own.json")
V2: Json = load("dcsa-v2-single.json")
V3: Json = load("dcsa-v3.json")["events"][1]


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def events(value: bytes | None, content_type: str | None = None) -> list[StatusEvent]:
    results = documents.decode(value, content_type)
    assert all(isinstance(result, StatusEvent) for result in results), results
    return [result for result in results if isinstance(result, StatusEvent)]


def refusal(value: bytes | None, content_type: str | None = None) -> InvalidInput:
    results = documents.decode(value, content_type)
    assert len(results) == 1
    assert isinstance(results[0], InvalidInput), results
    return results[0]


@pytest.mark.parametrize(
    ("name", "content_type", "statuses"),
    [
        ("status-own.json", ContentType.OWN, ["LOAD"]),
        ("dcsa-v2-single.json", ContentType.DCSA_V2, ["LOAD"]),
        ("dcsa-v2-array.json", ContentType.DCSA_V2, ["CONF", "GTIN", "ARRI"]),
        ("dcsa-v3.json", ContentType.DCSA_V3, ["CONF", "LOAD", "ARRI"]),
        ("dcsa-v3-container-only.json", ContentType.DCSA_V3, ["LOAD"]),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "by its fields"])
def test_each_document_decodes_with_or_without_its_name(
    name: str, content_type: ContentType, statuses: list[str], told: bool
) -> None:
    value = (FIXTURES / name).read_bytes()
    assert [event.status for event in events(value, content_type if told else None)] == statuses


@pytest.mark.parametrize(
    "content_type",
    ["Application/JSON", "application/json; charset=utf-8", f" {ContentType.OWN.upper()} ; x=y", ""],
)
def test_a_content_type_is_read_leniently(content_type: str) -> None:
    assert events(encoded(OWN), content_type)[0].event_id == OWN["event_id"]


def test_version_2_in_our_words() -> None:
    (event,) = events(encoded(V2), ContentType.DCSA_V2)
    assert (event.shipment_id, event.equipment) == ("EXB0000001", V2["equipmentReference"])
    assert (event.issuer, event.revision, event.carrier) == ("", None, "EXLI")
    assert event.location is not None
    assert event.location.name == V2["eventLocation"]["locationName"]
    assert event.voyage == "2612W", "a container is loaded for the voyage that begins"


def test_a_delay_keeps_its_reason() -> None:
    event = events((FIXTURES / "dcsa-v2-array.json").read_bytes())[2]
    assert (event.kind, event.reason, event.is_delay) == ("ARRI.EST", "Bad weather", True)


def test_version_3_is_known_by_its_party_and_corrected_by_its_update() -> None:
    (event,) = events(encoded({"events": [V3]}))
    later = V3 | {"eventUpdatedDateTime": "2027-01-01T00:00:00Z", "isRetracted": True}
    (corrected,) = events(encoded({"events": [later]}))
    party = V3["eventRouting"]["originatingParty"] | {"partyCode": "OTHER"}
    (other,) = events(encoded({"events": [V3 | {"eventRouting": {"originatingParty": party}}]}))
    assert event.issuer == "SMDG:EXLI"
    assert event.identity == corrected.identity != other.identity
    assert event.key != corrected.key
    assert corrected.retracted


@pytest.mark.parametrize(
    ("references", "shipment"),
    [
        ([("EQ", "C"), ("TRD", "T"), ("BKG", "B")], "B"),
        ([("TRD", "T"), ("SHI", "S"), ("CBR", "R")], "R"),
        ([("TRD", "T"), ("SHI", "S")], "S"),
        ([("TRD", "T")], "T"),
        ([], "container"),
    ],
    ids=["booking before all", "booking request", "instruction before document", "document", "container alone"],
)
def test_a_shipment_is_known_by_the_best_reference(references: list[tuple[str, str]], shipment: str) -> None:
    listed = [{"documentReferenceType": kind, "documentReferenceValue": value} for kind, value in references]
    document = V2 | {"documentReferences": listed, "references": [], "equipmentReference": "container"}
    assert events(encoded(document))[0].shipment_id == shipment


def test_an_event_of_no_shipment_is_refused() -> None:
    document = {k: v for k, v in V2.items() if k not in ("documentReferences", "references", "equipmentReference")}
    assert refusal(encoded(document)).field == "documentReferences"


def without(document: Json, field: str) -> Json:
    return {name: value for name, value in document.items() if name != field}


@pytest.mark.parametrize(
    ("value", "content_type", "field"),
    [
        (encoded(without(OWN, "event_id")), ContentType.OWN, "event_id"),
        (encoded(OWN | {"event_id": ""}), None, "event_id"),
        (encoded(OWN | {"event_id": "x" * 257}), None, "event_id"),
        (encoded(OWN | {"event_id": "a\x1fb"}), None, "event_id"),
        (encoded(OWN | {"shipment_id": "  "}), None, "shipment_id"),
        (encoded(OWN | {"status": "TELE"}), None, "status"),
        (encoded(OWN | {"occurred_at": "2026-11-23T10:00:00"}), None, "occurred_at"),
        (encoded(OWN | {"occurred_at": 5}), None, "occurred_at"),
        (encoded(OWN | {"occurred_at": "0001-01-01T00:00:00+14:00"}), None, "occurred_at"),
        (encoded(OWN | {"location": {"name": 5}}), None, "location.name"),
        (encoded(OWN | {"location": {"name": "a\0b"}}), None, "location.name"),
        (encoded(OWN | {"references": [{"type": "EQ"}]}), None, "references[0].value"),
        (encoded(OWN | {"status": "CONF", "classifier": "EST"}), None, "classifier"),
        (encoded(V2 | {"equipmentEventTypeCode": "ARRI"}), None, "equipmentEventTypeCode"),
        (encoded(V2 | {"eventType": "IOT"}), None, "eventType"),
        (encoded(without(V2, "equipmentEventTypeCode")), None, "equipmentEventTypeCode"),
        (encoded(V2 | {"eventDateTime": "1969-01-01T00:00:00Z"}), None, "eventDateTime"),
        (encoded({"events": [without(V3, "eventRouting")]}), None, "events[0].eventRouting"),
        (encoded({"events": {}}), None, "events"),
        (encoded({"events": []}), None, "events"),
        (encoded({"events": [1] * (MAX_EVENTS + 1)}), None, "events"),
        (encoded(OWN), "text/plain", "content-type"),
        (encoded(OWN), ContentType.DCSA_V3, "events"),
        (encoded({}), None, "eventID"),
    ],
)
def test_a_refusal_names_the_field(value: bytes, content_type: str | None, field: str) -> None:
    assert refusal(value, content_type).field == field


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "null"),
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (encoded(OWN)[:-1] + b',"skipped":"\xff"}', "not UTF-8"),
        (encoded(OWN)[:-2], "not JSON"),
        (b"[]", "no event"),
        (b"7", "expected object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"event_id":' * 50_000, "nested too deeply"),
        (b'{"event_id":"' + b"x" * 5_000_000 + b'"}', f"5000015 bytes, at most {MAX_BYTES}"),
    ],
    ids=["null", "empty", "no UTF-8", "no UTF-8 in a skipped field", "cut", "array", "number", "deep", "wide", "5 MB"],
)
def test_what_cannot_be_taken_apart_is_refused_whole(value: bytes | None, problem: str) -> None:
    refused = refusal(value)
    assert refused.field == ""
    assert problem in refused.problem


def test_one_broken_event_leaves_the_others_alone() -> None:
    first, second, third = documents.decode(encoded({"events": [V3, {"eventID": "x"}, V3]}), None)
    assert isinstance(first, StatusEvent)
    assert isinstance(second, InvalidInput)
    assert second.field.startswith("events[1].")
    assert isinstance(third, StatusEvent)


LONGEST = {
    "documentReferences": [{"documentReferenceType": "T" * 100, "documentReferenceValue": "v" * 100}] * 49,
    "references": [{"referenceType": "T" * 100, "referenceValue": "v" * 100}] * 49,
    "documentTypeCode": "T" * 100,
    "documentID": "d" * 100,
}
PARTY = {"partyCode": "p" * 100, "codeListProvider": "c" * 100}


@pytest.mark.parametrize(
    "document",
    [V2, V2 | LONGEST, {"events": [V3]}, {"events": [V3 | {"eventRouting": {"originatingParty": PARTY}}]}],
    ids=["2.2", "2.2 at its limits", "3.0", "3.0 at its limits"],
)
def test_what_was_mapped_can_be_read_back_as_our_own(document: Json) -> None:
    (event,) = events(encoded(document))
    assert events(msgspec.json.encode(event), ContentType.OWN) == [event]


def test_a_wrong_nesting_is_refused_by_field() -> None:
    refused = refusal((FIXTURES / "dcsa-v2-wrong-nesting.json").read_bytes(), ContentType.DCSA_V2)
    assert (refused.field, refused.problem) == ("[0].eventID", "missing")


def test_escaped_text_that_looks_like_nul_is_no_nul() -> None:
    (event,) = events(encoded(OWN | {"carrier": "a\\u0000b"}))
    assert event.carrier == "a\\u0000b"


moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2198, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
ids = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)


@given(
    st.builds(
        StatusEvent,
        event_id=ids,
        shipment_id=ids,
        issuer=ids,
        status=st.sampled_from(StatusCode).filter(lambda code: MEANINGS[code].type != "SHIPMENT"),
        classifier=st.sampled_from(Classifier),
        occurred_at=moments,
        revision=st.none() | moments,
        reason=st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50),
    )
)
def test_our_own_event_survives_its_json(event: StatusEvent) -> None:
    (again,) = events(msgspec.json.encode(event), ContentType.OWN)
    assert again == event
    assert again.key == event.key


NAMES = sorted({*OWN, *V2, *V3, "events", "partyCode", "originatingParty"})
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["ACT", "LOAD", "EQUIPMENT"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=8),
    max_leaves=20,
)
content_types = st.none() | st.sampled_from(list(ContentType)) | st.text()


@given(st.binary(max_size=200), content_types)
def test_no_bytes_raise(value: bytes, content_type: str | None) -> None:
    assert documents.decode(value, content_type)


@given(anything, content_types)
def test_no_json_raises(document: object, content_type: str | None) -> None:
    assert documents.decode(json.dumps(document).encode(), content_type)


@given(st.sampled_from([OWN, V2, V3]), st.data())
def test_no_field_of_a_sound_document_can_be_changed_into_an_exception(document: Json, data: st.DataObject) -> None:
    changed = document | {data.draw(st.sampled_from(sorted(document))): data.draw(anything)}
    for value in (changed, [changed], {"events": [changed]}):
        assert documents.decode(json.dumps(value).encode(), None)
