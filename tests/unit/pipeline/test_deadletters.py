"""A dead letter is what it died of, and of what; a selection is what fits everything that is asked for."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline import trail as trails
from pipeline.deadletters import (
    DeadLetter,
    Selection,
    Stored,
    ledger_line,
    read,
    renew,
)
from pipeline.ledger import Disposition
from pipeline.notifications import Channel, Lane, Notification, replay_id
from pipeline.trail import Trail

PUBLIC = frozenset({"cargo.status.v1"})
LANE = "herald.sms.urgent.v1"
SEEN = datetime(2026, 3, 1, 11, tzinfo=UTC)
CREATED = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 3, 5, 8, tzinfo=UTC)

NOTIFICATION = Notification(
    id="5b1f2c58-8d6e-5b27-9d41-3c1c2f3a4b5c",
    event_id="e-1",
    shipment_id="EXB1",
    recipient="anna",
    channel=Channel.SMS,
    lane=Lane.URGENT,
    address="+79991234567",
    title="",
    body="Loaded",
    template="loaded",
    template_version=3,
    locale="en",
    created_at=CREATED,
    expires_at=CREATED + timedelta(hours=24),
    first_seen_at=SEEN,
)
TOLD = msgspec.json.encode(NOTIFICATION)


def stored(trail: Trail, value: bytes | None = b"{", *, offset: int = 7, at_ms: int = 1_000) -> Stored:
    return Stored(partition=2, offset=offset, at_ms=at_ms, key=b"k", value=value, headers=[*trails.write(trail)])


def letter(trail: Trail, value: bytes | None = b"{", *, offset: int = 7, at_ms: int = 1_000) -> DeadLetter:
    found = read(stored(trail, value, offset=offset, at_ms=at_ms), PUBLIC)
    assert isinstance(found, DeadLetter)
    return found


def died(topic: str = "cargo.status.v1", offset: int = 5, index: int = 0, reason: str = "invalid-input") -> Trail:
    return Trail(origin_topic=topic, origin_offset=offset, origin_index=index, reason=reason)


def test_a_dead_letter_is_read_with_its_trail() -> None:
    found = letter(died())
    assert (found.id, found.size, found.channel, found.notification_id) == ("2-7", 1, None, None)
    assert found.trail == died()


def test_a_notification_is_known_by_its_id_wherever_it_died() -> None:
    found = letter(died(LANE), TOLD)
    assert (found.channel, found.notification_id) == (Channel.SMS, NOTIFICATION.id)
    assert found.subject == letter(died("herald.retry.30s.v1", offset=99), TOLD, offset=8).subject


@pytest.mark.parametrize("topic", ["cargo.status.v1", ""], ids=["public", "unknown"])
def test_what_a_stranger_may_have_written_is_never_a_notification(topic: str) -> None:
    found = letter(died(topic), TOLD)
    assert found.notification_id is None
    assert found.subject != letter(died(LANE), TOLD).subject


def test_a_trail_that_cannot_be_read_is_the_error() -> None:
    record = Stored(partition=0, offset=0, at_ms=1, key=None, value=None, headers=[("herald-attempts", b"many")])
    found = read(record, PUBLIC)
    assert isinstance(found, DeadLetter)
    assert found.trail.error == "herald-attempts: is not a whole number"
    assert (found.trail.origin_topic, found.size) == ("", 0)


@pytest.mark.parametrize(
    ("other", "value", "same"),
    [
        (died(index=1), b"{", True),  # the second broken event of one document
        (died(offset=6), b"{", False),  # the same bytes, published again
        (died(), b"[", False),  # one event of the document, on its way by itself
    ],
)
def test_one_replay_does_for_one_subject(other: Trail, value: bytes, same: bool) -> None:
    assert (letter(died()).subject == letter(other, value, offset=8).subject) is same


def test_a_renewed_notification_is_another_with_as_long_to_live() -> None:
    told = renew(NOTIFICATION, 2, NOW)
    assert told == msgspec.structs.replace(
        NOTIFICATION,
        id=replay_id(NOTIFICATION.id, 2),
        replay_of=NOTIFICATION.id,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=24),
    )
    assert renew(NOTIFICATION, 2, CREATED).id == told.id
    assert len({NOTIFICATION.id, told.id, renew(NOTIFICATION, 3, NOW).id, renew(told, 1, NOW).id}) == 4


def test_the_ledger_says_where_a_replay_comes_from_and_nothing_personal() -> None:
    told = renew(NOTIFICATION, 2, NOW)
    line = ledger_line(told, letter(died(LANE), TOLD), 2, "herald.dlq.v1")
    assert line.disposition is Disposition.ACCEPTED
    assert msgspec.to_builtins(line.source) == {"topic": "herald.dlq.v1", "partition": 2, "offset": 7, "index": 2}
    assert [one.id for one in line.notifications] == [told.id]
    assert (line.event_id, line.shipment_id, line.recorded_at) == ("e-1", "EXB1", NOW)
    assert line.first_seen_at == told.first_seen_at == NOTIFICATION.first_seen_at == SEEN
    assert b"+7999" not in msgspec.json.encode(line)


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(ids={"2-7", "0-0"}), True),
        (Selection(ids={"2-8"}), False),
        (Selection(reason="in-doubt"), True),
        (Selection(reason="bug"), False),
        (Selection(origin_topic="herald.sms"), True),
        (Selection(origin_topic="herald.email"), False),
        (Selection(channel=Channel.SMS), True),
        (Selection(channel=Channel.PUSH), False),
        (Selection(since_ms=1_000), True),
        (Selection(since_ms=1_001), False),
        (Selection(until_ms=1_001), True),
        (Selection(until_ms=1_000), False),
        (Selection(error="TIMED out"), True),
        (Selection(error="refused"), False),
        (Selection(shipment="EXB1", event="e-1", recipient="anna"), True),
        (Selection(shipment="EXB2"), False),
        (Selection(event="e-2"), False),
        (Selection(recipient="olga"), False),
        (Selection(ids={"2-7"}, reason="bug"), False),  # all that is given must fit
    ],
)
def test_a_selection_is_what_fits_everything(selection: Selection, matches: bool) -> None:
    trail = msgspec.structs.replace(died(LANE, reason="in-doubt"), error="the call timed out")
    assert selection.matches(letter(trail, TOLD)) is matches


def test_what_asks_for_nothing_is_known() -> None:
    assert Selection().is_everything
    assert not Selection(error="x").is_everything
