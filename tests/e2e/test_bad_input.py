"""Bad records on every topic: each is a dead letter with its reason, and the good ones around it flow on."""

import time
from collections.abc import Callable, Mapping

import msgspec
import pytest
from confluent_kafka import Producer

import topics
from pipeline.documents import ContentType
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Status
from simulators.faults import CallFault, Faults
from streaming.producer import Headers
from tests.e2e.cargo import Shipment, encode, followed_by, unique
from tests.e2e.world import TIERS_S, DeadLetter, World, eventually

FIVE_MB = b'{"event_id": "' + b"x" * 5_000_000 + b'"}'
LANE = topics.lane(Channel.SMS, Lane.BULK)
RETRY = topics.retry(TIERS_S[0])
OTHER_TOPICS = (topics.SUBSCRIPTIONS, topics.STATUS_AGAIN, LANE, RETRY, topics.OUTCOMES, topics.LEDGER)

# What is no record of ours, on whichever topic.
BROKEN: Mapping[str, bytes | None] = {
    "malformed": b'{"event_id": ',
    "not UTF-8": b'{"event_id": "\xff\xfe"}',
    "another type": b"42",
    "an array of nulls": b"[null]",
    "too deep": b"[" * 100_000,
    "empty": b"",
    "five megabytes": FIVE_MB,
    "null": None,
}


def changed(**fields: object) -> Callable[[Shipment], bytes]:
    """A sound event but for these fields."""
    return lambda shipment: msgspec.json.encode({**msgspec.to_builtins(shipment.event()), **fields})


# Compressed, Kafka takes it; as it is, nobody could write it anywhere again.
ENDLESS_KEY = bytes(17 << 20)

# The value, and what its reason must name.
BROKEN_EVENTS: Mapping[str, tuple[Callable[[Shipment], bytes], str]] = {
    "wrong type": (changed(occurred_at=["yesterday"]), "occurred_at"),
    "unknown code": (changed(status="TELE"), "status"),
    "no zone": (changed(occurred_at="2026-11-23T10:00:00"), "occurred_at"),
    "blank shipment": (changed(shipment_id=" "), "shipment_id"),
    "endless id": (changed(event_id="x" * 10_000), "event_id"),
}


def letters_of(world: World, before: Mapping[int, int], keys: set[bytes]) -> dict[bytes, DeadLetter]:
    """The dead letter of each key, once there is one for each; fails where a key has two."""

    def look() -> dict[bytes, DeadLetter] | None:
        found = {key: letters for key, letters in world.dead_letters(before).items() if key in keys}
        return {key: one for key, (one,) in found.items() if key is not None} if len(found) == len(keys) else None

    return eventually(look, f"{len(keys)} dead letters")


@pytest.mark.parametrize("topic", [topics.STATUS, *OTHER_TOPICS])
def test_what_cannot_be_read_is_set_aside_and_the_rest_flows_on(world: World, topic: str) -> None:
    shipment = Shipment()
    world.subscribe(shipment)
    before = world.mark(topics.DLQ)
    # A null subscription takes one away, it is no mistake.
    broken = {
        unique(name).encode(): value
        for name, value in BROKEN.items()
        if not (topic == topics.SUBSCRIPTIONS and value is None)
    }
    events = []
    for key, value in broken.items():
        world.publish(topic, key, value)
        events.append(shipment.event())
        world.tell(events[-1])
    ids = {id for event in events for id in shipment.ids(event)}
    assert {row["status"] for row in world.outcomes_of(ids).values()} == {Status.SENT}

    letters = letters_of(world, before, set(broken))
    for key, letter in letters.items():
        assert letter.value == broken[key], f"{key!r}: not the original bytes"
        assert letter.reason == "invalid-input", key
        assert letter.error, key
        assert letter.headers["herald-origin-topic"] == topic
    assert not any(world.pipeline.supervisor.restarts().values()), "a bad record ended a worker"


@pytest.mark.parametrize("name", BROKEN_EVENTS)
def test_a_broken_event_is_refused_by_the_field(world: World, name: str) -> None:
    make, field = BROKEN_EVENTS[name]
    shipment = Shipment()
    world.subscribe(shipment)
    before = world.mark(topics.DLQ)
    key = unique("key").encode()
    world.publish(topics.STATUS, key, make(shipment))
    good = shipment.event()
    world.tell(good)
    letter = letters_of(world, before, {key})[key]
    assert letter.reason == "invalid-input"
    assert letter.error.startswith(field)
    world.outcomes_of(shipment.ids(good))
    source = [int(letter.headers.get(f"herald-origin-{part}", "0")) for part in ("partition", "offset")]
    (line,) = eventually(
        lambda: world.query(
            "SELECT disposition, reason FROM event_ledger"
            " WHERE source_topic = $1 AND source_partition = $2 AND source_offset = $3",
            topics.STATUS,
            *source,
        ),
        "a line in the ledger",
    )
    assert line == {"disposition": "refused", "reason": letter.error}


HOSTILE: Mapping[str, tuple[Headers, str]] = {
    "due is no number": ([("herald-due-ms", b"soon")], "herald-due-ms"),
    "due is never": ([("herald-due-ms", b"99999999999999"), ("herald-target", LANE.encode())], "herald-due-ms"),
    "due is negative": ([("herald-due-ms", b"-1")], "herald-due-ms"),
    "attempts beyond counting": ([("herald-attempts", b"9" * 15), ("herald-target", LANE.encode())], "herald-attempts"),
    "endless": ([("herald-error", b"x" * 1_000_000)], "herald-error"),
    "not UTF-8": ([("herald-reason", b"\xff\xfe")], "herald-reason"),
    "no target": ([], "herald-target"),
    "a target that is not ours": ([("herald-target", b"__consumer_offsets")], "herald-target"),
    "a target that would loop": ([("herald-target", RETRY.encode())], "herald-target"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_on_a_retry_topic_hold_nothing_up(world: World, name: str) -> None:
    headers, named = HOSTILE[name]
    before = world.mark(topics.DLQ)
    key = unique("hostile").encode()
    began = time.time()
    world.publish(RETRY, key, b"{}", headers)
    world.flush()
    letter = letters_of(world, before, {key})[key]
    assert (letter.reason, letter.value) == ("invalid-input", b"{}")
    assert letter.error.startswith(named)
    assert time.time() - began < 30


@pytest.mark.parametrize("topic", [topics.STATUS, topics.SUBSCRIPTIONS])
def test_a_key_without_end_holds_nothing_up(world: World, topic: str) -> None:
    before = world.mark(topics.DLQ)
    anybody = Producer(
        {
            "bootstrap.servers": world.pipeline.endpoints.kafka,
            "compression.type": "lz4",
            "message.max.bytes": 2 * len(ENDLESS_KEY),
        }
    )
    anybody.produce(topic, b"{", ENDLESS_KEY)
    assert anybody.flush(30) == 0
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    assert {row["status"] for row in world.outcomes_of(shipment.ids(event)).values()} == {Status.SENT}
    (letter,) = eventually(lambda: world.dead_letters(before).get(None), "a dead letter without a key")
    assert (letter.reason, letter.value) == ("invalid-input", b"{")
    assert letter.error.startswith(f"without its key of {len(ENDLESS_KEY)} bytes; ")
    assert not any(world.pipeline.supervisor.restarts().values()), "a bad record ended a worker"


def test_our_headers_on_the_public_topic_mean_nothing(world: World) -> None:
    """Anybody may write there; waiting and attempts are ours to count."""
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    headers: Headers = [
        ("herald-due-ms", b"99999999999999"),
        ("herald-attempts", b"garbage"),
        ("herald-target", b"herald.dlq.v1"),
        ("x" * 10_000, b"y" * 100_000),
    ]
    world.publish(topics.STATUS, shipment.key, encode(event), headers)
    world.flush()
    rows = world.outcomes_of(shipment.ids(event))
    assert {(row["status"], row["attempts"]) for row in rows.values()} == {(Status.SENT, 1)}


def test_one_broken_event_of_a_document_does_not_take_the_others_with_it(world: World) -> None:
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    before = world.mark(topics.DLQ)
    sound = [shipment.event(), shipment.event()]
    broken = {"event_id": "without all the rest"}
    document = msgspec.json.encode([msgspec.to_builtins(sound[0]), broken, msgspec.to_builtins(sound[1])])
    world.publish(topics.STATUS, shipment.key, document, [("content-type", ContentType.OWN.encode())])
    world.flush()
    world.outcomes_of({id for event in sound for id in shipment.ids(event)})
    letter = letters_of(world, before, {shipment.key})[shipment.key]
    assert letter.error.startswith("[1]")
    assert letter.headers["herald-origin-index"] == "1"
    assert letter.value == document


def test_a_provider_that_talks_nonsense_loses_nothing(world: World) -> None:
    """Whatever it answered, it may have told; under the same key it is asked again."""
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    world.simulator(Channel.SMS).set_faults(Faults(call=CallFault.ACCEPT_THEN_GARBAGE, limit=1))
    event = shipment.event()
    world.tell(event)
    ids = shipment.ids(event)
    assert {row["status"] for row in world.outcomes_of(ids).values()} == {Status.SENT}
    assert len(world.accepted(Channel.SMS, ids)) == 1
