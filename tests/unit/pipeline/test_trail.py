"""A record's history survives its headers; what strangers write there does no harm."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import trail as trails
from pipeline.errors import InvalidInput
from pipeline.notifications import UNDATED
from pipeline.trail import MAX_COUNT, MAX_DUE_AHEAD_MS, MAX_VALUE_BYTES, NAMES, Trail

NOW_MS = 1_800_000_000_000

texts = st.text(st.characters(codec="utf-8")).filter(lambda text: len(text.encode()) <= MAX_VALUE_BYTES)
numbers = st.integers(0, 10**15 - 1)
counts = st.integers(0, MAX_COUNT)
whole_trails = st.builds(
    Trail,
    attempts=counts,
    due_ms=st.integers(0, NOW_MS + MAX_DUE_AHEAD_MS),
    target=texts,
    first_seen_ms=numbers,
    origin_topic=texts,
    origin_partition=numbers,
    origin_offset=numbers,
    origin_index=numbers,
    reason=texts,
    error=texts,
    provider=texts,
    in_doubt=st.booleans(),
    replay=counts,
)


@given(whole_trails)
def test_what_is_written_is_read_again(trail: Trail) -> None:
    assert trails.read(trails.write(trail), NOW_MS) == trail


@given(st.text(st.characters(codec="utf-8"), max_size=3 * MAX_VALUE_BYTES))
def test_a_long_text_is_cut_between_characters(text: str) -> None:
    (written,) = trails.write(Trail(error="!" + text))
    cut = trails.read([written], NOW_MS).error
    assert len(written[1]) <= MAX_VALUE_BYTES
    assert ("!" + text).startswith(cut)
    assert len(cut.encode()) > MAX_VALUE_BYTES - 4 or cut == "!" + text, "no more is cut than must be"


@pytest.mark.parametrize(
    ("first_seen_ms", "at"), [(0, UNDATED), (NOW_MS + 123, datetime(2027, 1, 15, 8, 0, 0, 123_000, tzinfo=UTC))]
)
def test_when_it_was_first_seen(first_seen_ms: int, at: datetime) -> None:
    assert Trail(first_seen_ms=first_seen_ms).first_seen_at == at


def test_a_time_that_no_clock_can_say_is_the_last_that_one_can() -> None:
    assert Trail(first_seen_ms=2**62).first_seen_at.year == 9999


headers = st.tuples(
    st.one_of(st.sampled_from(sorted(NAMES.values())), st.text(max_size=20)),
    st.one_of(st.none(), st.binary(max_size=2 * MAX_VALUE_BYTES), st.from_regex(rb"[0-9]{1,20}", fullmatch=True)),
)


@given(st.lists(headers))
def test_hostile_headers_are_refused_or_read_and_nothing_else(hostile: list[tuple[str, bytes | None]]) -> None:
    try:
        trail = trails.read(hostile, NOW_MS)
    except InvalidInput as refusal:
        assert refusal.field in NAMES.values()
    else:
        assert trails.read(trails.write(trail), NOW_MS) == trail


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("herald-attempts", b"-1", id="attempts cannot be negative"),
        pytest.param("herald-attempts", b"10001", id="nobody tries that often"),
        pytest.param("herald-replay", b"10001", id="nor replays"),
        pytest.param("herald-attempts", b"", id="no number at all"),
        pytest.param("herald-attempts", b"1_0", id="what only Python reads as a number"),
        pytest.param("herald-attempts", "٣".encode(), id="a digit, but not of ours"),
        pytest.param("herald-due-ms", b"9" * 16, id="a number that no clock shows"),
        pytest.param("herald-due-ms", str(NOW_MS + MAX_DUE_AHEAD_MS + 1).encode(), id="due after more than a day"),
        pytest.param("herald-error", b"x" * (MAX_VALUE_BYTES + 1), id="too long"),
        pytest.param("herald-error", b"\xff", id="not UTF-8"),
        pytest.param("herald-target", None, id="null"),
    ],
)
def test_refused_headers_are_named(name: str, raw: bytes | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        trails.read([("other", b"1"), (name, raw)], NOW_MS)
    assert refused.value.field == name


def test_a_day_ahead_is_as_far_as_it_goes() -> None:
    last = str(NOW_MS + MAX_DUE_AHEAD_MS).encode()
    assert trails.read([("herald-due-ms", last)], NOW_MS).due_ms == NOW_MS + MAX_DUE_AHEAD_MS


@pytest.mark.parametrize("nothing", [None, [], (), [("traceparent", b"00-1")]])
def test_without_headers_of_ours_a_record_has_no_history(nothing: object) -> None:
    assert trails.read(nothing, NOW_MS) == Trail()  # type: ignore[arg-type]


def test_only_what_says_something_is_written() -> None:
    assert trails.write(Trail()) == []
    assert trails.write(Trail(attempts=2, in_doubt=True)) == [("herald-attempts", b"2"), ("herald-in-doubt", b"1")]


def test_headers_stay_bounded_however_full_the_trail() -> None:
    full = Trail(**{one.name: "я" * 5_000 for one in msgspec.structs.fields(Trail) if one.type is str})
    assert sum(len(name) + len(raw or b"") for name, raw in trails.write(full)) < 4_096


@pytest.mark.parametrize(
    ("given_headers", "found"),
    [
        ([("Content-Type", b"a")], "a"),
        ([("content-type", None), ("content-type", b"b")], "b"),
        ([("content-type", b"a"), ("content-type", b"b")], "a"),
        ([("content-type", b"\xff")], "\ufffd"),
        ([("content-type", b"x" * 9_999)], "x" * MAX_VALUE_BYTES),
        ([], None),
        (None, None),
    ],
    ids=["any case", "null is none", "the first", "no text", "bounded", "none", "no headers"],
)
def test_a_strangers_header(given_headers: object, found: str | None) -> None:
    assert trails.header(given_headers, "content-type") == found  # type: ignore[arg-type]
