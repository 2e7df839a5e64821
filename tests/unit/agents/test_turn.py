"""What agents send away: outcomes and ledger lines as CloudEvents, dead letters with their history."""

import msgspec
import pytest

import topics
from agents.turn import MAX_BYTES, MAX_KEY_BYTES, dead_letter, first_seen, ledger_record, outcome_record, source_of
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.enrich import refused
from pipeline.ledger import Source
from pipeline.outcomes import Outcome, Status, conclude
from pipeline.trail import Trail
from tests.fakes import T0, T0_MS, Consumed, notification

SOURCE = Source(topic="cargo.status.v1", partition=1, offset=2, index=3)


def test_an_outcome_is_a_cloud_event_under_the_notifications_key() -> None:
    outcome = conclude(notification(), Status.SENT, T0_MS, attempts=1)
    record = outcome_record(outcome)
    assert (record.topic, record.key) == (topics.OUTCOMES, b"n-1")
    assert msgspec.json.decode(record.value or b"", type=Outcome) == outcome
    headers = dict(record.headers or [])
    assert (headers["ce_specversion"], headers["ce_id"], headers["ce_subject"]) == (b"1.0", b"n-1", b"s-1")
    assert headers["content-type"] == b"application/json"


def test_a_line_of_the_ledger_is_named_by_the_events_coordinates() -> None:
    record = ledger_record(refused("broken", SOURCE, T0, T0), b"key")
    assert (record.topic, record.key) == (topics.LEDGER, b"key")
    headers = dict(record.headers or [])
    assert headers["ce_id"] == b"cargo.status.v1/1/2/3"
    assert "ce_subject" not in headers, "CloudEvents allows no empty one"


def test_a_dead_letter_is_the_original_with_its_history() -> None:
    trail = Trail(attempts=3, due_ms=T0_MS, target="lane", origin_topic="t", origin_offset=4)
    headers = [("Content-Type", b"a/b"), ("content-type", b"second"), ("other", b"x")]
    record = dead_letter(b"k", b"v", trail, DeadLetterReason.BUG, "KeyError", headers)
    assert (record.topic, record.key, record.value) == (topics.DLQ, b"k", b"v")
    told = trails.read(record.headers, T0_MS)  # type: ignore[arg-type]
    assert (told.reason, told.error, told.attempts, told.origin_offset) == ("bug", "KeyError", 3, 4)
    assert (told.due_ms, told.target) == (0, ""), "it waits for nothing any more"
    assert [name for name, _ in record.headers or [] if not name.startswith("herald-")] == ["Content-Type"]


@pytest.mark.parametrize("kept", [None, b"", b"x" * 257], ids=["null", "empty", "too long"])
def test_a_content_type_that_says_nothing_is_not_kept(kept: bytes | None) -> None:
    record = dead_letter(None, None, Trail(), DeadLetterReason.BUG, "", [("content-type", kept)])
    assert record.headers == [("herald-reason", b"bug")]


@pytest.mark.parametrize(
    ("size", "error"),
    [
        pytest.param(MAX_BYTES, "not JSON", id="just what may be"),
        pytest.param(MAX_BYTES + 1, f"cut from {MAX_BYTES + 1} bytes; not JSON", id="a byte more"),
    ],
)
def test_of_what_kafka_would_not_take_the_beginning_is_kept_and_its_size_is_told(size: int, error: str) -> None:
    value = b"<" + b"x" * (size - 1)
    record = dead_letter(b"k", value, Trail(), DeadLetterReason.INVALID_INPUT, "not JSON")
    kept = record.value or b""
    # Not compared as a whole: pytest would spell out fifteen megabytes.
    assert (len(kept), value.startswith(kept)) == (MAX_BYTES, True)
    assert trails.read(record.headers, T0_MS).error == error  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "kept", "error"),
    [
        pytest.param(MAX_KEY_BYTES, True, "not JSON", id="as long as ours may be"),
        pytest.param(MAX_KEY_BYTES + 1, False, f"without its key of {MAX_KEY_BYTES + 1} bytes; not JSON", id="longer"),
    ],
)
def test_a_key_that_would_keep_a_refusal_out_of_kafka_is_left_out(size: int, kept: bool, error: str) -> None:
    key = b"k" * size
    letter = dead_letter(key, b"v", Trail(), DeadLetterReason.INVALID_INPUT, "not JSON")
    assert letter.key == (key if kept else None)
    assert trails.read(letter.headers, T0_MS).error == error  # type: ignore[arg-type]
    assert ledger_record(refused("not JSON", SOURCE, T0, T0), key).key == letter.key


def test_the_first_coordinates_stay() -> None:
    first = first_seen(Trail(), Consumed("t", 1, 2, None, None))
    assert source_of(first) == Source(topic="t", partition=1, offset=2, index=0)
    assert first_seen(first, Consumed("u", 7, 8, None, None, timestamp=9)) == first


def test_a_record_without_a_timestamp_has_a_trail_that_can_be_read() -> None:
    """Kafka says -1, which no header may say."""
    trail = first_seen(Trail(), Consumed("t", 1, 2, None, None, timestamp=-1))
    assert trails.read(trails.write(trail), T0_MS) == trail
