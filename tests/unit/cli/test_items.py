"""A file is taken apart into what is fit to be published and what is not, by place and field."""

import codecs
from pathlib import Path

import pytest

import topics
from cli.items import Record, Refusal, read
from pipeline.documents import ContentType

FIXTURES = Path(__file__).parents[2] / "fixtures"
OWN = b" ".join((FIXTURES / "status-own.json").read_bytes().split())


def records(content: bytes) -> list[Record]:
    results = list(read(content))
    assert all(isinstance(result, Record) for result in results), results
    return [result for result in results if isinstance(result, Record)]


def refusals(content: bytes, topic: str | None = None) -> list[Refusal]:
    return [refusal for result in read(content, topic) if not isinstance(result, Record) for refusal in result]


@pytest.mark.parametrize(
    ("name", "topic", "content_type", "keys"),
    [
        ("status-own.json", topics.STATUS, ContentType.OWN, [b"EXB0000001"]),
        ("dcsa-v2-array.json", topics.STATUS, ContentType.DCSA_V2, [b"EXB0000001"] * 3),
        ("dcsa-v3.json", topics.STATUS, ContentType.DCSA_V3, [b"EXB0000001"]),
        ("subscription.json", topics.SUBSCRIPTIONS, "application/json", [b"EXB0000001"]),
    ],
)
def test_files_tell_what_they_hold(name: str, topic: str, content_type: str, keys: list[bytes]) -> None:
    found = records((FIXTURES / name).read_bytes())
    assert [record.key for record in found] == keys
    assert {(record.topic, record.content_type) for record in found} == {(topic, content_type)}


def test_ndjson_is_read_line_by_line_and_topics_may_mix() -> None:
    subscription = b" ".join((FIXTURES / "subscription.json").read_bytes().split())
    found = records(b"\n".join([OWN, b"", subscription, OWN]) + b"\r\n")
    assert [record.topic for record in found] == [topics.STATUS, topics.SUBSCRIPTIONS, topics.STATUS]


@pytest.mark.parametrize(
    ("content", "where", "field"),
    [
        (b"[" + OWN + b", {}]", "[1]", "eventID"),
        (OWN + b"\n" + OWN[:-1] + b"\n", "line 2", ""),
        (OWN[:-1] + b"\n" + OWN, "line 1", ""),
        (OWN.replace(b"LOAD", b"TELE"), "", "status"),
        (b'{"events": [{}]}', "", "events[0].eventID"),
        (b"[1, 2", "", ""),
        (b"\xff\xfe", "", ""),
        (b"", "", ""),
        (b'{\n  "event_id": "x",\n  "status"\n}', "", ""),
        ((FIXTURES / "dcsa-v2-wrong-nesting.json").read_bytes(), "[0]", "eventID"),
    ],
    ids=["array", "last line", "first line", "field", "inside", "cut", "no text", "empty", "many lines", "nesting"],
)
def test_refusals_say_where_and_which_field(content: bytes, where: str, field: str) -> None:
    refused = refusals(content)
    assert refused
    assert refused[0].where == where
    assert field in refused[0].field


def test_nothing_of_a_document_with_a_broken_event_is_published() -> None:
    sound = (FIXTURES / "dcsa-v3.json").read_bytes().rstrip()
    broken = sound.removesuffix(b"}").rstrip().removesuffix(b"]") + b', {"eventID": "x"}]}'
    (result,) = read(broken)
    assert isinstance(result, list)
    assert result[0].field.startswith("events[3].")


def test_the_topic_can_be_told() -> None:
    assert refusals(OWN, topics.SUBSCRIPTIONS)[0].field == "recipients"


def test_a_byte_order_mark_is_left_out() -> None:
    (record,) = records(codecs.BOM_UTF8 + OWN)
    assert record.value == OWN


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ARRIVED", "did you mean ARRI?"),
        ("gtin", "did you mean GTIN?"),
        ("ON ITS WAY", "docs/contracts lists what is taken"),
    ],
)
def test_a_word_that_is_none_is_answered_with_what_may_be_meant(word: str, hint: str) -> None:
    (refusal,) = refusals(OWN.replace(b"LOAD", word.encode()))
    assert (refusal.field, refusal.problem) == ("status", f"invalid enum value '{word}'; {hint}")
