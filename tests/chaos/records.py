"""What does a record of one of our topics say? Decoded here once, for the account."""

from collections.abc import Callable
from typing import cast

import msgspec
from confluent_kafka import Message

import topics
from pipeline import trail as trails
from pipeline.deadletters import notification_of
from pipeline.errors import InvalidInput
from pipeline.ledger import EventRecord
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Outcome
from tests.chaos.account import Arrival, Coordinates, Handed, Letter, Lined, Place, Waiting, Word
from tests.chaos.published import ID_HEADER

RawHeaders = list[tuple[str, bytes | None]]
Read = Arrival | Handed | Letter | Lined | Waiting | Word

CHANNELS = {topics.lane(channel, lane): channel for channel in Channel for lane in Lane}
LANE_TOPICS = frozenset(CHANNELS)


class _Named(msgspec.Struct, frozen=True):
    """Enough of a notification, or of an event."""

    id: str = ""
    event_id: str = ""


_outcome = msgspec.json.Decoder(Outcome)
_event_record = msgspec.json.Decoder(EventRecord)
_named = msgspec.json.Decoder(_Named)


def reader(topic: str) -> Callable[[Message], Read]:
    """What reads the records of a topic; it raises where the pipeline itself has written what nobody can read."""
    return _READERS.get(topic, waiting)


def arrival(message: Message) -> Arrival:
    return Arrival(_place(message), trails.header(_headers(message), ID_HEADER))


def came_again(message: Message) -> Arrival:
    return Arrival(_place(message), _named.decode(message.value() or b"").event_id)


def lined(message: Message) -> Lined:
    return Lined(_place(message), _event_record.decode(message.value() or b""))


def word(message: Message) -> Word:
    return Word(_place(message), _outcome.decode(message.value() or b""))


def handed(message: Message) -> Handed:
    place = _place(message)
    trail = trails.read(_headers(message), place.at_ms)
    id = _named.decode(message.value() or b"").id
    return Handed(place, id, CHANNELS[place.topic], trail.attempts, trail.due_ms, trail.in_doubt)


def waiting(message: Message) -> Waiting:
    place = _place(message)
    trail = trails.read(_headers(message), place.at_ms)
    named = _named.decode(message.value() or b"")
    channel = CHANNELS.get(trail.target)
    return Waiting(
        place, named.id if channel else named.event_id, channel, trail.attempts, trail.due_ms, trail.in_doubt
    )


def letter(message: Message) -> Letter:
    """Never raises: what a dead letter lacks is for the checker to say."""
    place = _place(message)
    try:
        trail = trails.read(_headers(message), place.at_ms)
    except InvalidInput:
        return Letter(place, "", None, None)
    origin = Coordinates(trail.origin_topic, trail.origin_partition, trail.origin_offset)
    told = notification_of(message.value()) if trail.origin_topic in LANE_TOPICS else None
    return Letter(place, trail.reason, origin if trail.origin_topic else None, told.id if told else None)


def _place(message: Message) -> Place:
    return Place(
        cast(str, message.topic()),
        cast(int, message.partition()),
        cast(int, message.offset()),
        message.timestamp()[1],
    )


def _headers(message: Message) -> RawHeaders:
    return cast(RawHeaders, message.headers() or [])


_READERS: dict[str, Callable[[Message], Read]] = {
    topics.STATUS: arrival,
    topics.STATUS_AGAIN: came_again,
    topics.LEDGER: lined,
    topics.OUTCOMES: word,
    topics.DLQ: letter,
    **dict.fromkeys(CHANNELS, handed),
}
