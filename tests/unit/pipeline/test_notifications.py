"""Ids: the same thing always has the same name, another thing never; times always have an offset."""

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import Disposition, EventRecord, Source
from pipeline.notifications import SEPARATOR, UNDATED, Channel, Notification, notification_id, replay_id
from pipeline.outcomes import FINAL_STATUSES, Status
from tests.fakes import T0, notification

names = st.text(st.characters(codec="utf-8", exclude_characters=SEPARATOR), min_size=1, max_size=20)
parts = st.tuples(names, names, st.sampled_from(Channel))


@given(parts, parts)
def test_ids_are_as_different_as_what_they_name(one: tuple[str, str, Channel], other: tuple[str, str, Channel]) -> None:
    assert (notification_id(*one) == notification_id(*other)) is (one == other)


def test_ids_are_the_same_in_every_release() -> None:
    """A change of the rule would tell everything again that is read again."""
    first = notification_id("issuer\x1fe-1", "anna", Channel.SMS)
    assert first == "827c088e-58b3-5368-ac89-1a014dd9067c"
    assert replay_id(first, 1) == "79fd22d0-782b-5f07-878b-fd029299f3cc"
    assert uuid.UUID(first).version == uuid.UUID(replay_id(first, 1)).version == 5


def test_a_replay_is_another_notification_each_time() -> None:
    assert len({"n-1", replay_id("n-1", 1), replay_id("n-1", 2), replay_id("n-2", 1)}) == 4


def test_every_status_but_the_first_two_can_be_the_last() -> None:
    assert set(Status) - FINAL_STATUSES == {Status.CREATED, Status.SENDING}


@pytest.mark.parametrize("field", ["created_at", "expires_at"])
def test_a_notification_with_a_time_of_nowhere_is_refused(field: str) -> None:
    fields = msgspec.to_builtins(notification()) | {field: "2026-11-23T12:00:00"}
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(fields, Notification)


def test_what_the_version_before_has_put_into_kafka_is_undated() -> None:
    fields = msgspec.to_builtins(notification())
    assert fields.pop("first_seen_at")
    assert msgspec.convert(fields, Notification) == notification(first_seen_at=UNDATED)


def test_a_line_of_the_ledger_needs_an_offset_too() -> None:
    line = EventRecord(
        event_id=None,
        shipment_id=None,
        status=None,
        disposition=Disposition.REFUSED,
        reason=None,
        source=Source(topic="t", partition=0, offset=0),
        notifications=(),
        recorded_at=T0,
    )
    with pytest.raises(msgspec.ValidationError, match="recorded_at"):
        msgspec.convert(msgspec.to_builtins(line) | {"recorded_at": "2026-11-23T12:00:00"}, EventRecord)
