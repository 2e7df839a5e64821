"""How do dead letters look on a terminal? Without contacts and texts, and without anybody's control characters."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

import topics
from agents.turn import source_of
from cli.dlq_plan import NotReplayable, route_of
from observability.redaction import redact, redact_text
from pipeline.deadletters import DeadLetter
from pipeline.dlq_marks import NOTHING, Histories, History, Mark
from pipeline.ledger import Source
from pipeline.notifications import Channel
from pipeline.times import from_ms
from pipeline.trail import NAMES

MAX_SHOWN = 16_384
ERROR_WIDTH = 10
# With less, the error is worth more than where it came from, which `show` has, too.
ERROR_WIDTH_BESIDE_ORIGIN = 40
COMMON_ERRORS = 5
COMMON_ERROR_LENGTH = 300
HISTORY = "done with it"
GAP = 2

# What came in there holds no contacts, so that its broken bytes may be looked at.
HARMLESS = frozenset({topics.STATUS, topics.STATUS_AGAIN})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter for scripts: a line of ``herald dlq list --json``."""

    id: str
    at: datetime
    reason: str
    error: str
    origin: Source
    channel: Channel | None
    notification_id: str | None
    attempts: int
    provider: str | None
    bytes: int
    replays: int
    parked: bool
    parked_why: str | None


def line(letter: DeadLetter, history: History) -> Line:
    trail = letter.trail
    return Line(
        id=letter.id,
        at=from_ms(letter.record.at_ms),
        reason=trail.reason,
        error=redact_text(trail.error),
        origin=source_of(letter.trail),
        channel=letter.channel,
        notification_id=letter.notification_id,
        attempts=trail.attempts,
        provider=trail.provider or None,
        bytes=letter.size,
        replays=history.replays,
        parked=history.parked is not None,
        parked_why=redact_text(history.parked.why) if history.parked else None,
    )


def list_table(letters: Sequence[DeadLetter], done: Histories, width: int) -> Table:
    """Each error cut to what the other columns leave of ``width``; a column that would be empty is left out, and so is
    the origin where it would leave little.
    """
    columns: dict[str, list[str | Text]] = {
        "id": [letter.id for letter in letters],
        "when (UTC)": [_time(letter.record.at_ms)[5:] for letter in letters],
        "reason": [plain(letter.trail.reason) for letter in letters],
        "channel": [letter.channel or "" for letter in letters],
        "replayed": [_times(done.get(letter.subject, NOTHING).replays) for letter in letters],
        "origin": [place(letter) for letter in letters],
        "error": [plain(redact_text(letter.trail.error)) for letter in letters],
    }
    told = {name: cells for name, cells in columns.items() if any(cells)}
    if "error" in told and _left(told, width) < ERROR_WIDTH_BESIDE_ORIGIN:
        del told["origin"]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in told:
        table.add_column(name, no_wrap=name != "origin", overflow="ellipsis" if name == "error" else "fold")
    if "error" in told:
        table.columns[-1].max_width = max(ERROR_WIDTH, _left(told, width))
    for row in zip(*told.values(), strict=True):
        table.add_row(*row)
    return table


def _left(columns: Mapping[str, Sequence[str | Text]], width: int) -> int:
    """For the error, once the edges and the others have theirs."""
    return width - 2 * GAP - sum(_width([name, *cells]) + GAP for name, cells in columns.items() if name != "error")


def _width(cells: Sequence[str | Text]) -> int:
    return max(cell_len(str(cell)) for cell in cells)


def _times(replays: int) -> str:
    return f"{replays}×" if replays else ""


def common_errors(letters: Sequence[DeadLetter]) -> Text:
    """The errors that there are most of, whole, with how many have each."""
    errors = Counter(redact_text(letter.trail.error)[:COMMON_ERROR_LENGTH] for letter in letters if letter.trail.error)
    return Text("\n").join(plain(f"{count} × {error}") for error, count in errors.most_common(COMMON_ERRORS))


def counts(letters: Sequence[DeadLetter], done: Histories, shown: int) -> Text:
    """The line below the list: what there is of each reason, and what of it is still to be dealt with."""
    reasons = Counter(letter.trail.reason or "unknown" for letter in letters)
    parts = [f"{count} {reason}" for reason, count in reasons.most_common()]
    left = sum(done.get(letter.subject, NOTHING).is_open for letter in letters)
    total = f"{len(letters)} dead letters" + (f" ({shown} shown)" if shown < len(letters) else "")
    return plain(": ".join(filter(None, [f"{total}, {left} open", ", ".join(parts)])))


def show(console: Console, letter: DeadLetter, history: History, *, unmasked: bool) -> None:
    table = Table("", "", show_header=False, title=f"dead letter {letter.id}", title_justify="left")
    for name, value in _facts(letter, history):
        table.add_row(name, plain(value if unmasked else redact_text(value), keep="\n" * (name == HISTORY)))
    console.print(table)
    console.print(_value(letter, unmasked), soft_wrap=True)


def _facts(letter: DeadLetter, history: History) -> list[tuple[str, str]]:
    record, trail = letter.record, letter.trail
    moments = {field: _time(ms) for field in ("first_seen_ms", "due_ms") if (ms := getattr(trail, field))}
    try:
        route = route_of(letter)
        next_step = f"to {route.target}" + (f" ({route.note})" if route.note else "")
    except NotReplayable as refusal:
        next_step = f"not replayable: {refusal}"
    known = {name.lower() for name in NAMES.values()}
    return [
        ("when", _time(record.at_ms)),
        ("key", _text(record.key)),
        ("value", "null" if record.value is None else f"{letter.size} bytes"),
        ("channel", letter.channel or ""),
        *((NAMES[field], moments.get(field) or str(getattr(trail, field))) for field in trail.__struct_fields__),
        *((name, _text(raw)) for name, raw in record.headers if name.lower() not in known),
        (HISTORY, "\n".join(map(_told, history.marks)) or "nothing"),
        ("a replay goes", next_step),
    ]


def _told(mark: Mark) -> str:
    """What was done, and when, by whom, why."""
    times = f" for the {mark.replay}. time to {mark.target}" if mark.replay else ""
    by = f" by {mark.by}" if mark.by else ""
    return f"{_time(mark.at_ms)} {mark.act}{times}{by}" + (f": {mark.why}" if mark.why else "")


def _value(letter: DeadLetter, unmasked: bool) -> Text:
    value = letter.record.value or b""
    try:
        document = msgspec.json.decode(value)
        text = json.dumps(document if unmasked else redact(document), indent=2, ensure_ascii=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if not unmasked and letter.trail.origin_topic not in HARMLESS:
            return Text("not JSON, so that it cannot be masked: --unmasked shows it", style="yellow")
        # Cut before it is escaped: megabytes of it would be looked through for nothing.
        text = value[: MAX_SHOWN + 1].decode(errors="backslashreplace")
        text = text if unmasked else redact_text(text)
    shown = plain(text[:MAX_SHOWN], keep="\n")
    if len(text) > MAX_SHOWN:
        shown.append(f"\n… {letter.size} bytes in all", style="yellow")
    return shown


def place(letter: DeadLetter) -> Text:
    origin = source_of(letter.trail)
    index = f"[{origin.index}]" if origin.index else ""
    return plain(f"{origin.topic} {origin.partition}-{origin.offset}{index}" if origin.topic else "unknown")


def _time(ms: int) -> str:
    try:
        return from_ms(ms).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return str(ms)  # past the calendar: a header holds more than a datetime


def _text(raw: bytes | None) -> str:
    return "null" if raw is None else raw[:MAX_SHOWN].decode(errors="backslashreplace")


def plain(text: str, keep: str = "") -> Text:
    """Neither rich's markup nor a terminal's escapes: both may have been written by a stranger."""
    return Text("".join(one if one.isprintable() or one in keep else repr(one)[1:-1] for one in text))
