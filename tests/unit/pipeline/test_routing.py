"""Who is told, on what, how urgently, before whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import StatusEvent
from pipeline.notifications import Channel, Lane, notification_id
from pipeline.routing import choose, lane_of, urgent_first
from pipeline.subscriptions import Recipient, Subscription
from pipeline.vocabulary import Classifier, StatusCode

ALL = {Channel.SMS: "+79990000001", Channel.EMAIL: "a@example.org", Channel.PUSH: "token"}


def event(status: StatusCode, **fields: object) -> StatusEvent:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    return StatusEvent(event_id="e", shipment_id="s", status=status, occurred_at=moment, **fields)  # type: ignore[arg-type]


def told(status: StatusCode, *recipients: Recipient) -> list[tuple[str, Channel, str]]:
    chosen = choose(event(status), Subscription(shipment_id="s", recipients=recipients))
    return [(one.recipient.recipient_id, one.channel, one.address) for one in chosen]


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        (StatusCode.ARRI, None, True),
        (StatusCode.DRFT, None, False),
        (StatusCode.DRFT, (StatusCode.DRFT,), True),
        (StatusCode.ARRI, (StatusCode.DRFT,), False),
        (StatusCode.ARRI, (), False),
    ],
    ids=["told by default", "silent by default", "named", "not named", "wants nothing"],
)
def test_what_a_recipient_wants(status: StatusCode, events: tuple[StatusCode, ...] | None, expected: bool) -> None:
    person = Recipient(recipient_id="a", addresses={Channel.SMS: "+79990000001"}, events=events)
    assert bool(told(status, person)) is expected


def test_every_channel_with_an_address_unless_some_are_chosen() -> None:
    everywhere = Recipient(recipient_id="a", addresses=ALL)
    chosen = Recipient(recipient_id="b", addresses=ALL, channels=(Channel.PUSH, Channel.PUSH))
    nowhere = Recipient(recipient_id="c", addresses=ALL, channels=())
    assert told(StatusCode.ARRI, everywhere, chosen, nowhere) == [
        *(("a", channel, address) for channel, address in ALL.items()),
        ("b", Channel.PUSH, "token"),
    ]


@pytest.mark.parametrize(
    ("told_event", "lane"),
    [
        (event(StatusCode.HOLD), Lane.URGENT),
        (event(StatusCode.CUSI), Lane.URGENT),
        (event(StatusCode.ARRI, classifier=Classifier.ESTIMATED, reason="Bad weather"), Lane.URGENT),
        (event(StatusCode.ARRI, classifier=Classifier.ESTIMATED), Lane.BULK),
        (event(StatusCode.LOAD, reason="repacked"), Lane.BULK),
    ],
    ids=["hold", "inspection", "delay", "new ETA", "a container's reason is no delay"],
)
def test_lanes(told_event: StatusEvent, lane: Lane) -> None:
    assert lane_of(told_event) is lane


def test_the_same_instant_in_another_zone_gives_the_same_notification_id() -> None:
    one = event(StatusCode.ARRI, revision=datetime.fromisoformat("2026-11-23T10:00:00+03:00"))
    same = event(StatusCode.ARRI, revision=datetime.fromisoformat("2026-11-23T07:00:00Z"))
    later = event(StatusCode.ARRI, revision=datetime.fromisoformat("2026-11-23T07:00:01Z"))
    ids = [notification_id(each.key, "anna", Channel.SMS) for each in (one, same, later)]
    assert ids[0] == ids[1] != ids[2]


@dataclass(frozen=True)
class Waits:
    """``event`` is None for what is none."""

    place: int
    event: StatusEvent | None


def line(*words: str) -> list[Waits]:
    """``a`` is an event of shipment a, ``a!`` an urgent one, ``-`` none at all."""
    return [
        Waits(
            place,
            None
            if word == "-"
            else StatusEvent(
                event_id=str(place),
                shipment_id=word[0],
                status=StatusCode.HOLD if word.endswith("!") else StatusCode.ARRI,
                occurred_at=datetime(2026, 11, 23, tzinfo=UTC),
            ),
        )
        for place, word in enumerate(words)
    ]


def places(waiting: Sequence[Waits]) -> list[int]:
    return [one.place for one in waiting]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("a b c", []),
        ("a b c!", [2]),
        ("a b a! c", [0, 2]),
        ("a! b a", [0]),
        ("a b! a! b a!", [0, 1, 2, 4]),
        ("- a! -", [1]),
        ("", []),
    ],
)
def test_urgent_events_go_first_with_what_came_before_them_of_their_shipment(words: str, first: list[int]) -> None:
    urgent, rest = urgent_first(line(*words.split()))
    assert places(urgent) == first
    assert places(rest) == [place for place in range(len(words.split())) if place not in first]


@given(st.lists(st.sampled_from(["a", "b", "c", "a!", "b!", "c!", "-"]), max_size=30))
def test_nothing_overtakes_within_a_shipment_and_no_urgent_event_is_left_behind(words: list[str]) -> None:
    waiting = line(*words)
    urgent, rest = urgent_first(waiting)
    assert sorted(places(urgent + rest)) == places(waiting)
    assert not any(one.event and lane_of(one.event) is Lane.URGENT for one in rest)
    for shipment in "abc":
        of_it = [one.place for one in urgent + rest if one.event and one.event.shipment_id == shipment]
        assert of_it == sorted(of_it)
