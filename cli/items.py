"""Which records does a file on disk hold, and is each fit to be published? Nothing is sent from here."""

import codecs
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

import topics
from pipeline import documents, strict_json, subscriptions
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.vocabulary import Classifier, EventType, StatusCode

SUBSCRIPTION_TYPE = "application/json"
# Those of our own documents; DCSA's are answered by its own decoders.
NO_SUCH_WORD = re.compile(r"invalid enum value '(?P<word>.*)'")
WORDS = (*StatusCode, *Classifier, *EventType)
SCHEMAS = "docs/contracts"

BY_NAME = {"status": topics.STATUS, "subscriptions": topics.SUBSCRIPTIONS}


@dataclass(frozen=True)
class Record:
    """Fit to be published as it stands."""

    topic: str
    key: bytes
    value: bytes
    content_type: str


@dataclass(frozen=True)
class Refusal:
    """Why an item stays unpublished; ``where`` is its place in the file (``line 3``, ``[2]``, or empty)."""

    where: str
    field: str
    problem: str


class _Marks(msgspec.Struct, frozen=True):
    recipients: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_raw = msgspec.json.Decoder(msgspec.Raw)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_marks = msgspec.json.Decoder(_Marks)


def read(content: bytes, topic: str | None = None) -> Iterator[Record | list[Refusal]]:
    """A result per item of a file that holds one JSON object, an array of them, or one in each line (NDJSON).

    ``topic`` is one of `BY_NAME`; without it each item's own fields tell. A byte order mark is left out.
    """
    for where, item in _split(content.removeprefix(codecs.BOM_UTF8)):
        try:
            yield _judge(item, topic or _topic_of(item), where)
        except InvalidInput as refusal:
            yield [_refusal(where, refusal)]


def _split(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.lstrip()[:1] == b"[":
        try:
            items = _array.decode(content)
        except (msgspec.DecodeError, RecursionError):
            yield "", content  # the decoders say what is wrong with it
            return
        for index, raw in enumerate(items):
            yield f"[{index}]", bytes(raw)
    elif _is_one(content):
        yield "", content
    else:
        for number, line in enumerate(content.splitlines(), start=1):
            if line.strip():
                yield f"line {number}", line


def _is_one(content: bytes) -> bool:
    """What is not JSON as a whole may be NDJSON with a broken line: then another line is an object by itself."""
    if _parses(content):
        return True
    return not any(line.lstrip()[:1] == b"{" and _parses(line) for line in content.splitlines())


def _parses(text: bytes) -> bool:
    try:
        _raw.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _topic_of(item: bytes) -> str:
    marks = strict_json.parse(_marks, strict_json.accept(item))
    return topics.STATUS if marks.recipients is msgspec.UNSET else topics.SUBSCRIPTIONS


def _judge(item: bytes, topic: str, where: str) -> Record | list[Refusal]:
    if topic == topics.SUBSCRIPTIONS:
        subscription = subscriptions.decode(item)
        assert subscription is not None  # only a null value is, and a file cannot hold one
        return Record(topic, subscription.shipment_id.encode(), item, SUBSCRIPTION_TYPE)
    content_type = documents.detect(strict_json.accept(item))
    decoded = documents.decode(item, content_type)
    refusals = [_refusal(where, one) for one in decoded if isinstance(one, InvalidInput)]
    if refusals:
        return refusals
    first = decoded[0]
    assert isinstance(first, StatusEvent)
    return Record(topic, first.shipment_id.encode(), item, content_type.value)


def _refusal(where: str, refusal: InvalidInput) -> Refusal:
    """Where a word is none of ours, with those that are like it, or with where all of them stand."""
    problem = refusal.problem
    if match := NO_SUCH_WORD.fullmatch(problem):
        near = difflib.get_close_matches(match["word"].upper(), WORDS)
        problem += f"; did you mean {' or '.join(near)}?" if near else f"; {SCHEMAS} lists what is taken"
    return Refusal(where, refusal.field, problem)
