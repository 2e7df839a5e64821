"""No contact, credential or message text may pass, and what operators need must."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from observability.redaction import MAX_TEXT, mask_email, mask_phone, redact, redact_fields, redact_text
from pipeline.notifications import Channel, Lane, Notification

NOTIFICATION = Notification(
    id="7d1f7a3e-0000-5000-8000-000000000001",
    event_id="e-1",
    shipment_id="s-1",
    recipient="r-1",
    channel=Channel.SMS,
    lane=Lane.URGENT,
    address="+79161234567",
    title="Прибыл",
    body='It\'s here: "gate 4"',
    template="ARRI",
    template_version=1,
    locale="ru",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 2, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("to +79161234567 now", "9161234"),
        ("to +7 (916) 123-45-67 now", "123-45"),
        ("550 no such user <ivan.petrov+cargo@example.org>", "ivan"),
        ("550 иван@пример.рф", "иван"),
        ("a@b@example.org", "a@b"),
        ("cannot reach postgresql://herald:s3cret@db:5432/herald", "s3cret"),
        ("redis://:s3cret@cache:6379/0", "s3cret"),
        ("sent Authorization: Bearer eyJhbGciOi.abc-def", "eyJhbGciOi"),
        (f"UNREGISTERED dQw4w9WgXcQ_abc:APA91b{'x' * 130}", "APA91b"),
        (repr(NOTIFICATION), "9161234567"),
        (repr(NOTIFICATION), "Прибыл"),
        (repr(NOTIFICATION), "gate 4"),
        ('{"body": "ship \\"gone\\" away", "id": 1}', "away"),
    ],
)
def test_text_loses_contacts_and_credentials(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "committed offset 79161234567 of herald.sms.urgent.v1-3",
        "due at 2026-01-01T00:00:00+03:00",
        "notification 7d1f7a3e-0000-5000-8000-000000000001 sent",
        "kafka://broker-1:9092",
        "took 1.5e+10 ns",
        "event ETA moved by +3600 s",
    ],
)
def test_what_operators_need_stays(text: str) -> None:
    assert redact_text(text) == text


def test_ids_stay_beside_masked_fields_of_a_record() -> None:
    assert NOTIFICATION.id in redact_text(repr(NOTIFICATION))


def test_long_text_is_cut() -> None:
    assert len(redact_text("x" * 10 * MAX_TEXT)) <= MAX_TEXT + 1


def test_sensitive_fields_are_masked_whole_at_any_depth() -> None:
    fields = {
        "address": "Tverskaya 1",
        "sms_token": "abc",
        "labels.body": "x",
        "batch": [{"to": "me", "n": 3}],
        "text": None,
    }
    assert redact_fields(fields) == {
        "address": "***",
        "sms_token": "***",
        "labels.body": "***",
        "batch": [{"to": "***", "n": 3}],
        "text": None,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOTIFICATION, "<Notification>"),
        (b"hello", "<5 bytes>"),
        (Channel.SMS, "sms"),
        (ValueError("bad +79161234567"), "ValueError: bad +***67"),
        (UUID(NOTIFICATION.id), NOTIFICATION.id),
        (Path("/var/lib/herald"), "/var/lib/herald"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00+00:00"),
        (("a@example.org", 1, True, None), ["***@example.org", 1, True, None]),
    ],
)
def test_values_become_fit_for_json(value: object, expected: object) -> None:
    assert redact(value) == expected


def test_masks_tell_contacts_apart() -> None:
    assert mask_phone("+79161234567") == "+***67"
    assert mask_email("ivan@example.org") == "***@example.org"
