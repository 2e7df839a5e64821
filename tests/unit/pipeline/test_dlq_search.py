"""Dead letters are found by what they speak of, however broken; what cannot be read names nothing."""

from pathlib import Path

import pytest

from pipeline.dlq_search import Names, names

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOBODY = frozenset[str]()


@pytest.mark.parametrize(
    ("fixture", "shipment", "event"),
    [
        ("status-own.json", "EXB0000001", "evt-1"),
        ("dcsa-v2-single.json", "EXB0000001", "EXB0000001-04"),
        ("dcsa-v3.json", "EXB0000001", "EXB0000001-09"),
        ("dcsa-v3-container-only.json", "EXLU1730838", "EXB0000001-04"),
    ],
)
def test_every_kind_of_document_names_its_shipment_and_its_events(fixture: str, shipment: str, event: str) -> None:
    found = names((FIXTURES / fixture).read_bytes(), None)
    assert shipment in found.shipments
    assert event in found.events


def test_broken_in_any_way_it_still_names_what_it_can() -> None:
    found = names(b'{"events": [{"eventID": "e-1", "shipment_id": 5}, {"event_id": "e-2"}], "shipment_id": "S"}', None)
    assert found == Names(frozenset({"S"}), frozenset({"e-1", "e-2"}), NOBODY)


def test_the_key_is_the_shipment_or_the_recipient() -> None:
    assert names(None, b"anna") == Names(frozenset({"anna"}), NOBODY, frozenset({"anna"}))


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[" * 100_000, b"5", b'"event_id"'])
def test_what_cannot_be_read_names_nothing(value: bytes | None) -> None:
    assert names(value, None) == Names(NOBODY, NOBODY, NOBODY)


def test_a_subscription_names_its_people() -> None:
    found = names((FIXTURES / "subscription.json").read_bytes(), None)
    assert found.recipients == {"anna", "ben"}
