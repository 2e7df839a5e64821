"""Each kind of dead letter goes back where another try can work, or says why none can."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import topics
from agents.turn import encode, ledger_record, outcome_record
from cli.dlq_plan import (
    ALREADY,
    FORGOTTEN,
    IN_DOUBT,
    IS_NOT_PARKED,
    IS_PARKED,
    MAY_BE_TOLD,
    OVERWRITES,
    PUBLIC,
    NotReplayable,
    make_plan,
    mark_record,
    route_of,
)
from pipeline import documents
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.deadletters import DeadLetter, Stored, read
from pipeline.dlq_marks import Act, Histories, Mark, histories
from pipeline.enrich import refused
from pipeline.events import StatusEvent
from pipeline.ledger import EventRecord, Source
from pipeline.notifications import Channel, Lane, Notification, replay_id
from pipeline.outcomes import Status, conclude
from pipeline.trail import Trail
from streaming.producer import Record

FIXTURES = Path(__file__).parents[2] / "fixtures"
OWN = (FIXTURES / "status-own.json").read_bytes()
NOW = datetime(2026, 3, 5, 8, tzinfo=UTC)
LANE = topics.lane(Channel.EMAIL, Lane.BULK)
WAIT = topics.retry(30.0)

NOTIFICATION = Notification(
    id="5b1f2c58-8d6e-5b27-9d41-3c1c2f3a4b5c",
    event_id="e-1",
    shipment_id="EXB1",
    recipient="anna",
    channel=Channel.EMAIL,
    lane=Lane.BULK,
    address="anna@example.org",
    title="Loaded",
    body="Loaded",
    template="loaded",
    template_version=3,
    locale="en",
    created_at=NOW,
    expires_at=NOW,
)
TOLD = encode(NOTIFICATION)
OUTCOME = conclude(NOTIFICATION, Status.SENT, 1_700_000_000_000, attempts=1, provider="smtp")
ENTRY = refused("eventID: missing", Source(topic=topics.STATUS, partition=0, offset=3), NOW, NOW)
CONTENT_TYPE = ("Content-Type", b"application/vnd.dcsa.tnt.v3.0+json")


def letter(
    origin: str,
    value: bytes | None,
    reason: DeadLetterReason = DeadLetterReason.INVALID_INPUT,
    *,
    offset: int = 0,
    index: int = 0,
    content_type: bytes = CONTENT_TYPE[1],
) -> DeadLetter:
    trail = Trail(origin_topic=origin, origin_index=index, reason=reason, attempts=6)
    headers = [*trails.write(trail), (CONTENT_TYPE[0], content_type)]
    found = read(
        Stored(partition=1, offset=offset, at_ms=0, key=b"EXB1", value=value, headers=headers),  # type: ignore[arg-type]
        PUBLIC,
    )
    assert isinstance(found, DeadLetter)
    return found


@pytest.mark.parametrize(
    ("origin", "value", "target", "note"),
    [
        (topics.STATUS, b"{", topics.STATUS, ""),
        (topics.STATUS, None, topics.STATUS, ""),
        (topics.STATUS, TOLD, topics.STATUS, ""),  # a stranger's "notification" stays a stranger's input
        (topics.STATUS_AGAIN, OWN, topics.STATUS, ""),
        (topics.SUBSCRIPTIONS, b"{", topics.SUBSCRIPTIONS, OVERWRITES),
        (WAIT, OWN, topics.STATUS, ""),
    ],
)
def test_input_goes_back_as_it_was(origin: str, value: bytes | None, target: str, note: str) -> None:
    route = route_of(letter(origin, value))
    (record,) = route.records(1, NOW)
    assert (record.topic, record.key, record.value, record.headers) == (target, b"EXB1", value, [CONTENT_TYPE])
    assert (route.target, route.note) == (target, note)


@pytest.mark.parametrize("origin", [LANE, WAIT])
def test_a_notification_is_told_anew_and_part_of_the_account(origin: str) -> None:
    route = route_of(letter(origin, TOLD, DeadLetterReason.RETRIES_EXHAUSTED, offset=4))
    entry, told = route.records(2, NOW)
    assert (told.topic, told.key, told.headers) == (LANE, b"anna", [("herald-replay", b"2")])
    assert told.value is not None
    renewed = msgspec.json.decode(told.value, type=Notification)
    assert (renewed.id, renewed.replay_of) == (replay_id(NOTIFICATION.id, 2), NOTIFICATION.id)
    assert (entry.topic, entry.key) == (topics.LEDGER, b"EXB1")
    assert entry.value is not None
    line = msgspec.json.decode(entry.value, type=EventRecord)
    assert line.source == Source(topic=topics.DLQ, partition=1, offset=4, index=2)
    assert line.notifications[0].id == renewed.id


def test_doubt_is_passed_on_to_the_operator() -> None:
    assert route_of(letter(LANE, TOLD, DeadLetterReason.IN_DOUBT)).note == MAY_BE_TOLD
    assert route_of(letter(LANE, TOLD, DeadLetterReason.RETRIES_EXHAUSTED)).note == ""


def test_doubt_is_replayed_only_where_it_is_asked_for() -> None:
    doubtful = letter(LANE, TOLD, DeadLetterReason.IN_DOUBT)
    plain = letter(LANE, encode(msgspec.structs.replace(NOTIFICATION, id="6")), DeadLetterReason.RETRIES_EXHAUSTED)
    plan = make_plan([doubtful, plain], {}, again=False)
    assert [replay.letters for replay in plan.replays] == [(plain,)]
    assert [(kept.letters, kept.why) for kept in plan.kept] == [((doubtful,), IN_DOUBT)]
    plan = make_plan([doubtful, plain], {}, again=False, in_doubt=True)
    assert [replay.route.may_be_told for replay in plan.replays] == [True, False]


@pytest.mark.parametrize(
    ("origin", "original"), [(topics.OUTCOMES, outcome_record(OUTCOME)), (topics.LEDGER, ledger_record(ENTRY, b"EXB1"))]
)
def test_what_the_store_rejected_is_given_to_the_sink_again(origin: str, original: object) -> None:
    value = encode(OUTCOME) if origin == topics.OUTCOMES else encode(ENTRY)
    assert route_of(letter(origin, value, DeadLetterReason.REJECTED_BY_STORE)).records(1, NOW) == [original]


@pytest.mark.parametrize(
    ("origin", "value", "reason", "why"),
    [
        (topics.STATUS, b"{", DeadLetterReason.TEMPLATE, "enrich would refuse it"),
        (LANE, b"{", DeadLetterReason.INVALID_INPUT, "no notification"),
        (WAIT, b"{}", DeadLetterReason.INVALID_INPUT, "no notification"),
        (topics.OUTCOMES, b"{}", DeadLetterReason.INVALID_INPUT, "refuse it again"),
        ("", TOLD, DeadLetterReason.INVALID_INPUT, "origin is not known"),
    ],
)
def test_what_cannot_be_replayed_says_why(origin: str, value: bytes, reason: DeadLetterReason, why: str) -> None:
    with pytest.raises(NotReplayable, match=why):
        route_of(letter(origin, value, reason))


EVENTS = [msgspec.structs.replace(msgspec.json.decode(OWN, type=StatusEvent), event_id=f"e-{one}") for one in range(3)]


def unrendered(value: bytes, **where: int) -> DeadLetter:
    return letter(topics.STATUS, value, DeadLetterReason.TEMPLATE, content_type=b"application/json", **where)


@pytest.mark.parametrize(
    ("value", "index", "event"), [(encode(EVENTS), 2, EVENTS[2]), (encode(EVENTS[1]), 2, EVENTS[1])]
)
def test_of_a_template_its_event_goes_to_enrich_under_the_dead_letters_coordinates(
    value: bytes, index: int, event: StatusEvent
) -> None:
    """Out of its document, or as it stood when it came again."""
    (record,) = route_of(unrendered(value, offset=4, index=index)).records(1, NOW)
    assert (record.topic, record.key) == (topics.STATUS_AGAIN, event.shipment_id.encode())
    assert documents.decode(record.value, trails.header(record.headers, "content-type")) == [event]  # type: ignore[arg-type]
    trail = trails.read(record.headers, 0)  # type: ignore[arg-type]
    assert trail == Trail(origin_topic=topics.DLQ, origin_partition=1, origin_offset=4, origin_index=1, replay=1)


def test_what_a_replay_came_to_nothing_of_is_replayed_like_it() -> None:
    """A bug in enrich, say: the event is there, and its dead letter is one of a replay."""
    failed = letter(topics.DLQ, encode(EVENTS[0]), DeadLetterReason.BUG, offset=8, content_type=b"application/json")
    (record,) = route_of(failed).records(2, NOW)
    trail = trails.read(record.headers, 0)  # type: ignore[arg-type]
    assert (record.topic, trail.origin_offset, trail.origin_index) == (topics.STATUS_AGAIN, 8, 2)


def test_each_event_of_a_document_is_replayed_by_itself() -> None:
    texts = [unrendered(encode(EVENTS), offset=7, index=one) for one in (0, 2)]
    bug = letter(topics.STATUS, encode(EVENTS), DeadLetterReason.BUG, offset=8, index=1)
    plan = make_plan([*texts, bug], {}, again=False)
    assert [one.letters for one in plan.replays] == [(texts[0],), (texts[1],), (bug,)]


def test_a_template_is_not_replayed_once_enrich_has_forgotten_who_was_told() -> None:
    old = unrendered(encode(EVENTS[0]))
    other = letter(topics.STATUS, b"{")
    plan = make_plan([old, other], {}, again=False, seen_since_ms=1)
    assert [kept.why for kept in plan.kept] == [f"not replayable: {FORGOTTEN}"]
    assert [replay.letters for replay in plan.replays] == [(other,)]


def test_one_subject_is_replayed_once_for_all_its_letters() -> None:
    first, second, other = (letter(topics.STATUS, b"{", offset=0), letter(topics.STATUS, b"{", offset=1, index=1),
                            letter(topics.STATUS, b"[", offset=2))  # fmt: skip
    plan = make_plan([first, second, other], {}, again=False)
    assert [one.letters for one in plan.replays] == [(first, second), (other,)]
    assert not plan.kept


def done(one: DeadLetter, *acts: Act) -> Histories:
    """Acts on one subject, in their order."""
    return histories(
        Mark(act=act, dead_letter=one.id, subject=one.subject, replay=at + 1 if act is Act.REPLAYED else 0, at_ms=at)
        for at, act in enumerate(acts)
    )


def test_what_was_replayed_is_left_out_unless_again_and_then_has_the_next_number() -> None:
    one = letter(LANE, TOLD)
    twice = done(one, Act.REPLAYED, Act.REPLAYED)
    assert [kept.why for kept in make_plan([one], twice, again=False).kept] == [ALREADY]
    assert [replay.number for replay in make_plan([one], twice, again=True).replays] == [3]


def test_what_is_parked_is_left_out_unless_it_is_asked_for_and_then_nothing_else_is() -> None:
    one, other = letter(LANE, TOLD), letter(topics.STATUS, b"{", offset=1)
    parked = done(one, Act.PARKED)
    plan = make_plan([one, other], parked, again=False)
    assert ([replay.letters for replay in plan.replays], [kept.why for kept in plan.kept]) == ([(other,)], [IS_PARKED])
    plan = make_plan([one, other], parked, again=False, parked=True)
    assert ([replay.letters for replay in plan.replays], [kept.why for kept in plan.kept]) == (
        [(one,)],
        [IS_NOT_PARKED],
    )


def test_unparked_is_as_if_it_had_never_been_parked() -> None:
    one = letter(LANE, TOLD)
    assert [replay.number for replay in make_plan([one], done(one, Act.PARKED, Act.UNPARKED), again=False).replays] == [
        1
    ]


def test_a_replay_broken_off_before_its_mark_is_repeated_under_the_same_id() -> None:
    one = letter(LANE, TOLD)
    (first,), (second,) = (make_plan([one], {}, again=False).replays for _ in range(2))
    ids = [msgspec.json.decode(record.records(NOW)[1].value or b"", type=Notification).id for record in (first, second)]
    assert ids[0] == ids[1] == replay_id(NOTIFICATION.id, 1)


def back(record: object, offset: int = 9) -> object:
    """As the reader meets it."""
    assert isinstance(record, Record)
    return read(
        Stored(partition=1, offset=offset, at_ms=5, key=record.key, value=record.value, headers=record.headers),  # type: ignore[arg-type]
        PUBLIC,
    )


def test_the_mark_of_a_replay_lies_behind_its_letter_and_names_it() -> None:
    one = letter(LANE, TOLD, offset=4)
    (replay,) = make_plan([one], {}, again=False).replays
    record = replay.marker("olga")
    assert (record.topic, record.partition, record.key, record.value) == (topics.DLQ, 1, b"EXB1", b"")
    assert back(record) == Mark(
        act=Act.REPLAYED,
        dead_letter="1-4",
        subject=one.subject,
        replay=1,
        target=LANE,
        by="olga",
        partition=1,
        offset=9,
        at_ms=5,
    )


def test_the_mark_of_a_parking_says_why() -> None:
    one = letter(topics.STATUS, b"{", offset=4)
    found = back(mark_record(one, Act.PARKED, "olga", why="the publisher knows " * 100))
    assert isinstance(found, Mark)
    assert (found.act, found.subject, found.by, found.replay) == (Act.PARKED, one.subject, "olga", 0)
    assert found.why.startswith("the publisher knows the")
