"""The table is whole, and both spellings of DCSA 3.0 mean the same."""

import pytest

from pipeline.vocabulary import KINDS, MEANINGS, Classifier, EventType, StatusCode, find, kind


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(StatusCode)
    assert all(code is meaning.code for code, meaning in MEANINGS.items())


@pytest.mark.parametrize("code", StatusCode)
def test_four_letters_and_the_whole_word_find_a_code(code: StatusCode) -> None:
    meaning = MEANINGS[code]
    assert find(meaning.type, code) is find(meaning.type, meaning.word) is code


@pytest.mark.parametrize(
    ("event_type", "text", "code"),
    [
        (EventType.EQUIPMENT, "LOADED", StatusCode.LOAD),
        (EventType.EQUIPMENT, "GATED_IN", StatusCode.GTIN),
        (EventType.EQUIPMENT, "Gated in", StatusCode.GTIN),
        (EventType.SHIPMENT, "VOIDED", StatusCode.VOID),
        (EventType.TRANSPORT, "LOAD", None),
        (EventType.TRANSPORT, "", None),
        (EventType.SHIPMENT, "CONFIRM", None),
    ],
    ids=["word", "two words", "as the standard prints it", "renamed", "of another type", "nothing", "nearly"],
)
def test_find(event_type: EventType, text: str, code: StatusCode | None) -> None:
    assert find(event_type, text) is code


def test_what_is_planned_or_expected_has_a_kind_of_its_own() -> None:
    assert kind(StatusCode.ARRI, Classifier.PLANNED) == kind(StatusCode.ARRI, Classifier.ESTIMATED) == "ARRI.EST"
    assert kind(StatusCode.ARRI, Classifier.ACTUAL) == "ARRI"
    assert {"ARRI", "ARRI.EST", "LOAD.EST", "CONF"} <= set(KINDS)
    assert "CONF.EST" not in KINDS
