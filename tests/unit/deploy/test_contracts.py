"""The published schemas say what the pipeline really writes and reads."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest

from docs.contracts import generate
from pipeline.documents import MAX_EVENTS, decode
from pipeline.events import StatusEvent
from pipeline.ledger import Born, Disposition, EventRecord, Source
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import FINAL_STATUSES, Outcome, Status
from pipeline.subscriptions import Recipient, Subscription
from pipeline.vocabulary import Classifier, StatusCode

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
ID = "7d1f7a3e-0000-5000-8000-000000000001"

OUTCOME = Outcome(
    notification_id=ID,
    event_id="e-1",
    shipment_id="s-1",
    channel=Channel.SMS,
    recipient="r-1",
    status=Status.SENT,
    reason=None,
    provider="http-sms",
    provider_reference="m-1",
    attempts=1,
    template="ARRI",
    template_version=1,
    locale="ru",
    lane=Lane.URGENT,
    created_at=NOW,
    finished_at=NOW,
)
ACCEPTED = EventRecord(
    event_id="e-1",
    shipment_id="s-1",
    status="ARRI",
    disposition=Disposition.ACCEPTED,
    reason=None,
    source=Source(topic=generate.STATUS, partition=0, offset=0),
    notifications=(Born(id=ID, channel=Channel.SMS, recipient="r-1", lane=Lane.URGENT),),
    recorded_at=NOW,
)
REFUSED = msgspec.structs.replace(
    ACCEPTED,
    event_id=None,
    shipment_id=None,
    status=None,
    disposition=Disposition.REFUSED,
    reason="not JSON",
    notifications=(),
)
RECIPIENT = Recipient(
    recipient_id="r-1",
    addresses={Channel.SMS: "+79161234567", Channel.EMAIL: "ivan@example.org", Channel.PUSH: "token"},
    locale="ru",
    timezone="Europe/Moscow",
    channels=(Channel.SMS,),
    events=(StatusCode.ARRI,),
)
EVENT = StatusEvent(
    event_id="e-1", shipment_id="s-1", status=StatusCode.ARRI, occurred_at=NOW, classifier=Classifier.ESTIMATED
)

GOOD: list[tuple[str, msgspec.Struct]] = [
    *((generate.OUTCOMES, msgspec.structs.replace(OUTCOME, status=status)) for status in sorted(FINAL_STATUSES)),
    (
        generate.OUTCOMES,
        msgspec.structs.replace(OUTCOME, provider=None, provider_reference=None, attempts=0, reason="late"),
    ),
    (generate.LEDGER, ACCEPTED),
    (generate.LEDGER, REFUSED),
    (generate.STATUS, EVENT),
    (generate.SUBSCRIPTIONS, Subscription(shipment_id="s-1", recipients=(RECIPIENT,))),
    (generate.SUBSCRIPTIONS, Subscription(shipment_id="s-1", recipients=())),
]
BAD: list[tuple[str, msgspec.Struct, dict[str, Any]]] = [
    (generate.OUTCOMES, OUTCOME, {"status": "sending"}),
    (generate.OUTCOMES, OUTCOME, {"status": "lost"}),
    (generate.OUTCOMES, OUTCOME, {"channel": "fax"}),
    (generate.OUTCOMES, OUTCOME, {"attempts": -1}),
    (generate.OUTCOMES, OUTCOME, {"notification_id": "n-1"}),
    (generate.OUTCOMES, OUTCOME, {"finished_at": "yesterday"}),
    (generate.LEDGER, ACCEPTED, {"disposition": "dropped"}),
    (generate.LEDGER, ACCEPTED, {"notifications": [{"id": ID}]}),
    (generate.LEDGER, ACCEPTED, {"source": {"topic": "t", "partition": -1, "offset": 0}}),
    (generate.STATUS, EVENT, {"status": "LOST"}),
    (generate.STATUS, EVENT, {"shipment_id": ""}),
    (generate.SUBSCRIPTIONS, Subscription(shipment_id="s-1", recipients=()), {"recipients": [{"recipient_id": "r"}]}),
    (
        generate.SUBSCRIPTIONS,
        Subscription(shipment_id="s-1", recipients=()),
        {"recipients": [{"recipient_id": "r", "addresses": {"fax": "1"}}]},
    ),
]


def validator(topic: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(generate.path(topic).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=FORMATS)


FORMATS = jsonschema.FormatChecker(formats=["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@pytest.mark.parametrize("topic", generate.CONTRACTS)
def test_the_files_are_what_the_types_say(topic: str) -> None:
    """If this fails: ``python -m docs.contracts.generate``, and see whether readers of the topic can live with it."""
    assert generate.path(topic).read_text(encoding="utf-8") == generate.render(topic)


@pytest.mark.parametrize("topic", generate.CONTRACTS)
def test_no_contract_is_left_without_its_line_in_the_overview(topic: str) -> None:
    assert f"]({generate.path(topic).name})" in (generate.FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("topic", "record"), GOOD)
def test_what_the_pipeline_writes_is_valid(topic: str, record: msgspec.Struct) -> None:
    validator(topic).validate(json.loads(msgspec.json.encode(record)))


@pytest.mark.parametrize(("topic", "record", "change"), BAD)
def test_what_it_never_writes_is_not(topic: str, record: msgspec.Struct, change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(topic).validate({**json.loads(msgspec.json.encode(record)), **change})


@pytest.mark.parametrize(("events", "good"), [(1, True), (MAX_EVENTS, True), (0, False), (MAX_EVENTS + 1, False)])
def test_an_array_of_events_is_valid_where_it_is_taken(events: int, good: bool) -> None:
    value = msgspec.json.encode([EVENT] * events)
    assert validator(generate.STATUS).is_valid(json.loads(value)) is good
    assert (decode(value, None) == [EVENT] * events and events > 0) is good


def test_descriptions_are_for_fields_that_exist() -> None:
    definitions = {
        name: definition for topic in generate.CONTRACTS for name, definition in generate.schema(topic)["$defs"].items()
    }
    for name, field in generate.FIELDS:
        assert field in definitions[name]["properties"], f"{name}.{field}"
