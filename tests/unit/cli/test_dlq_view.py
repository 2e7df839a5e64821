"""What an operator sees holds no contact, no text, no control character, and never a whole megabyte."""

import io

import msgspec
import pytest
from rich.console import Console

import topics
from cli.dlq_plan import PUBLIC
from cli.dlq_view import COMMON_ERRORS, MAX_SHOWN, common_errors, counts, line, list_table, show
from pipeline import trail as trails
from pipeline.deadletters import DeadLetter, Stored, read
from pipeline.dlq_marks import NOTHING, Act, History, Mark
from pipeline.trail import Trail

SECRETS = ("+79991234567", "anna@example.org", "Your container", "Cargo loaded")
NOTIFICATION = {
    "id": "5b1f2c58-8d6e-5b27-9d41-3c1c2f3a4b5c",
    "event_id": "e-1",
    "shipment_id": "EXB1",
    "recipient": "anna",
    "channel": "email",
    "lane": "bulk",
    "address": "anna@example.org",
    "title": "Cargo loaded",
    "body": "Your container is on board",
    "template": "loaded",
    "template_version": 3,
    "locale": "en",
    "created_at": "2026-03-01T12:00:00Z",
    "expires_at": "2026-03-02T12:00:00Z",
}
TOLD = msgspec.json.encode(NOTIFICATION)
SUBSCRIPTION = b'{"shipment_id": "EXB1", "recipients": [{"addresses": {"sms": "+79991234567"}}]}'


def letter(value: bytes | None, origin: str, error: str = "") -> DeadLetter:
    trail = Trail(origin_topic=origin, origin_index=2, reason="retries-exhausted", error=error)
    found = read(
        Stored(partition=0, offset=1, at_ms=0, key=b"EXB1", value=value, headers=trails.write(trail)),  # type: ignore[arg-type]
        PUBLIC,
    )
    assert isinstance(found, DeadLetter)
    return found


def printed(*parts: object, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(*parts)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(one: DeadLetter, history: History = NOTHING, *, unmasked: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(console, one, history, unmasked=unmasked)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        (TOLD, "herald.email.bulk.v1"),
        (TOLD[:-20], "herald.email.bulk.v1"),  # cut: not JSON any more
        (TOLD[: TOLD.index(b" on board")], "herald.email.bulk.v1"),
        (TOLD.decode().encode("utf-16"), "herald.email.bulk.v1"),
        (SUBSCRIPTION, topics.SUBSCRIPTIONS),
        (SUBSCRIPTION[:-3], topics.SUBSCRIPTIONS),
        (b'"call +7 999 123-45-67, anna@example.org"', topics.STATUS),
    ],
)
def test_contacts_and_texts_are_masked_unless_asked_for(value: bytes, origin: str) -> None:
    one = letter(value, origin, error="no such user anna@example.org")
    text = shown(one) + printed(list_table([one], {}, 160)) + msgspec.json.encode(line(one, NOTHING)).decode()
    assert not [secret for secret in (*SECRETS, "123-45-67") if secret in text]
    assert "anna@example.org" in shown(one, unmasked=True)


def test_unmasked_shows_the_value_as_it_is() -> None:
    text = shown(letter(TOLD, "herald.email.bulk.v1"), unmasked=True)
    assert '"address": "anna@example.org"' in text
    assert '"body": "Your container is on board"' in text


def test_broken_input_is_shown_escaped() -> None:
    text = shown(letter(b'{"a": "\x1b[31m\xff\xfe', topics.STATUS))
    assert r'{"a": "\x1b[31m\xff\xfe' in text


@pytest.mark.parametrize("hostile", ["\x1b]0;owned\x07", "\x9b31m", "\u202egpj.exe", "[bold]x[/bold] [/nonsense]"])
def test_a_stranger_does_not_write_to_the_terminal(hostile: str) -> None:
    one = letter(hostile.encode(), topics.STATUS, error=hostile)
    text = shown(one, unmasked=True) + printed(list_table([one], {}, 160))
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
    if hostile.startswith("["):
        assert hostile in text, "rich's markup is text"


@pytest.mark.parametrize("unmasked", [False, True], ids=["masked", "unmasked"])
@pytest.mark.parametrize(
    ("value", "end"),
    [
        pytest.param(b"x" * 5_000_000, "xx\n… 5000000 bytes in all", id="no JSON"),
        pytest.param(b'["' + b"x" * 5_000_000 + b'"]', "xx\n… 5000004 bytes in all", id="one long text"),
        pytest.param(b"[" + b"1," * 50_000 + b"1]", "\n… 100003 bytes in all", id="many values"),
        pytest.param(b"x" * MAX_SHOWN, "\n" + "x" * MAX_SHOWN, id="just what may be"),
    ],
)
def test_megabytes_are_cut_and_their_size_is_told(value: bytes, end: str, unmasked: bool) -> None:
    text = shown(letter(value, topics.STATUS), unmasked=unmasked)
    assert text.rstrip("\n").endswith(end)
    assert len(text) < 30_000


def test_deep_json_is_shown_all_the_same() -> None:
    assert "[[[[" in shown(letter(b"[" * 50_000 + b"]" * 50_000, topics.STATUS))


def test_a_time_past_the_calendar_is_shown_as_it_is() -> None:
    headers = [("herald-origin-topic", b"cargo.status.v1"), ("herald-first-seen-ms", b"9" * 15)]
    found = read(Stored(partition=0, offset=1, at_ms=0, key=None, value=None, headers=headers), PUBLIC)  # type: ignore[arg-type]
    assert isinstance(found, DeadLetter)
    assert "9" * 15 in shown(found)


def test_null_and_empty_values_differ() -> None:
    assert "null" in shown(letter(None, topics.STATUS))
    assert "0 bytes" in shown(letter(b"", topics.STATUS))


def marks(*acts: Act) -> History:
    return History(
        tuple(
            Mark(
                act=act,
                dead_letter="0-1",
                subject="s",
                replay=number if act is Act.REPLAYED else 0,
                target="herald.email.bulk.v1" if act is Act.REPLAYED else "",
                by="olga",
                why="ask anna@example.org" if act is Act.PARKED else "",
                at_ms=60_000 * number,
            )
            for number, act in enumerate(acts, start=1)
        )
    )


def test_what_was_done_with_it_is_told_with_when_by_whom_and_why() -> None:
    text = shown(letter(TOLD, "herald.email.bulk.v1"), marks(Act.REPLAYED, Act.PARKED))
    assert "1970-01-01 00:01:00 replayed for the 1. time to herald.email.bulk.v1 by olga" in text
    assert "1970-01-01 00:02:00 parked by olga: ask ***@example.org" in text
    assert "nothing" in shown(letter(TOLD, "herald.email.bulk.v1"))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_list_fits_and_cuts_the_error_alone(width: int) -> None:
    one = letter(TOLD, "herald.email.bulk.v1", error="the server said no, " * 20)
    text = printed(list_table([one], {one.subject: marks(Act.REPLAYED, Act.REPLAYED)}, width), width=width)
    for whole in ("0-1", "01-01 00:00:00", "retries-exhausted", "email", "2×", "…"):
        assert whole in text
    rows = [row for row in text.splitlines() if row.strip()]
    assert all(len(row) <= width for row in rows)
    assert ("origin" in text, len(rows)) == (width > 120, 3), "a line each"


def test_a_narrow_list_has_room_for_the_cause() -> None:
    text = printed(list_table([letter(b"{", topics.STATUS, error="eventID: missing")], {}, 80), width=80)
    assert "eventID: missing" in text


def test_the_most_common_errors_are_told_whole_and_without_contacts() -> None:
    errors = ["eventID: missing"] * 3 + ["no such user anna@example.org"] * 2 + list("abcdef")
    text = printed(common_errors([letter(b"{", topics.STATUS, error=one) for one in errors]))
    assert text.splitlines()[:2] == ["3 × eventID: missing", "2 × no such user ***@example.org"]
    assert len(text.splitlines()) == COMMON_ERRORS


def test_counts_say_what_is_left() -> None:
    one, other = letter(TOLD, "herald.email.bulk.v1"), letter(b"{", topics.STATUS)
    assert printed(counts([one, other], {one.subject: marks(Act.PARKED)}, 1)).strip() == (
        "2 dead letters (1 shown), 1 open: 2 retries-exhausted"
    )
    assert printed(counts([], {}, 0)).strip() == "0 dead letters, 0 open"
