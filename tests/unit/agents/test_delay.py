"""What a waiting record becomes: itself where it came from, or a dead letter at once."""

import pytest

import topics
from agents.delay import TARGETS, reader
from pipeline import trail as trails
from pipeline.notifications import Channel, Lane
from pipeline.trail import MAX_DUE_AHEAD_MS, Trail
from tests.fakes import T0_MS, Clock, Consumed

TIER = topics.retry(30.0)
LANE = topics.lane(Channel.SMS, Lane.BULK)
read = reader(Clock())


def waiting(headers: list[tuple[str, bytes | None]]) -> Consumed:
    return Consumed(TIER, 2, 5, b"key", b"value", headers)


def test_a_record_goes_back_byte_for_byte_with_its_history() -> None:
    trail = Trail(attempts=2, due_ms=T0_MS + 30_000, target=LANE, origin_topic=LANE, origin_offset=1, in_doubt=True)
    due_ms, record = read(waiting([*trails.write(trail), ("content-type", b"a/b"), ("strange", b"x")]))  # type: ignore[list-item]
    assert due_ms == T0_MS + 30_000
    assert (record.topic, record.key, record.value) == (LANE, b"key", b"value")
    returned = trails.read(record.headers, due_ms)  # type: ignore[arg-type]
    assert (returned.attempts, returned.due_ms, returned.target, returned.in_doubt) == (2, due_ms, "", True)
    assert (returned.origin_topic, returned.origin_offset) == (LANE, 1)
    assert [one for one in record.headers or [] if not one[0].startswith("herald-")] == [("content-type", b"a/b")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="no history at all"),
        pytest.param([("herald-target", b"cargo.status.v1")], id="a topic where nothing may go"),
        pytest.param([("herald-target", topics.DLQ.encode())], id="round in circles"),
        pytest.param([("herald-target", LANE.encode()), ("herald-attempts", b"x")], id="no number"),
        pytest.param([("herald-target", b"\xff")], id="not UTF-8"),
        pytest.param(
            [("herald-target", LANE.encode()), ("herald-due-ms", str(T0_MS + MAX_DUE_AHEAD_MS + 1).encode())],
            id="due after more than a day: it would block its partition",
        ),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_at_once(headers: list[tuple[str, bytes | None]]) -> None:
    due_ms, record = read(waiting(headers))
    assert due_ms <= T0_MS
    assert (record.topic, record.key, record.value) == (topics.DLQ, b"key", b"value")
    trail = trails.read(record.headers, T0_MS)  # type: ignore[arg-type]
    assert (trail.reason, trail.origin_topic, trail.origin_partition, trail.origin_offset) == (
        "invalid-input",
        TIER,
        2,
        5,
    )


def test_records_wait_for_the_lanes_and_for_subscriptions_only() -> None:
    assert len(TARGETS) == 1 + len(Channel) * len(Lane)
    assert topics.STATUS_AGAIN in TARGETS
