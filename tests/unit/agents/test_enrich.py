"""Enrich: what a turn sends away, in which order, and what one bad record does to the others."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec
import pytest
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

import topics
from agents.enrich import CATCH_UP_S, Enricher
from agents.guard import DeadLetterGuard
from agents.line import Refusal
from observability.metrics import Metrics
from pipeline import trail as trails
from pipeline.deadletter_limits import DeadLetterPolicy
from pipeline.enrich import EnrichPolicy
from pipeline.events import StatusEvent
from pipeline.halting import HaltCause
from pipeline.notifications import Channel
from pipeline.rendering import Rendered, TemplateError
from pipeline.subscriptions import Recipient
from pipeline.times import from_ms
from pipeline.trail import Trail
from streaming.engine import Drained, Engine, Turn
from streaming.inflight import Fetch
from streaming.producer import ProduceFailed, Record
from streaming.records import FetchedRecord
from tables.seen import SeenEvents
from tables.subscriptions import Subscriptions
from tests.fakes import T0_MS, Clock, Consumed, Journal, Out, Table, app, read_to_the_end, turns

BULK = "herald.sms.bulk.v1"
URGENT = "herald.sms.urgent.v1"
SEEN = "seen-changelog"


class Texts:
    """Has a bug that only one event brings out, and a template that another one breaks."""

    def render(self, event: StatusEvent, recipient: Recipient, channel: Channel) -> Rendered:
        if event.event_id == "bug":
            raise ZeroDivisionError
        if event.event_id == "template":
            raise TemplateError("ARRI", "lacks a placeholder")
        return Rendered(title="", body=event.event_id, template="ARRI", template_version=1, locale="en")


@pytest.fixture
def seen() -> SeenEvents:
    seen = SeenEvents(app(), keep_s=60.0)
    seen.table = Table(SEEN)  # type: ignore[assignment]
    return seen


@pytest.fixture
def subscriptions() -> Subscriptions:
    subscriptions = Subscriptions(app())
    table = Table("subscriptions-changelog")
    for partition in (0, 1):
        table.stored[partition][b"s-1"] = msgspec.json.encode(
            {
                "shipment_id": "s-1",
                "recipients": [{"recipient_id": "anna", "addresses": {"sms": "+79990000001"}}],
            }
        )
    subscriptions.table = table  # type: ignore[assignment]
    return subscriptions


@pytest.fixture
def make(
    out: Out,
    seen: SeenEvents,
    subscriptions: Subscriptions,
    guard: DeadLetterGuard,
    metrics: Metrics,
    clock: Clock,
    engine: Engine,
) -> Callable[[], Enricher]:
    """A worker; another one has the same tables and knows nothing else."""
    engine.in_flight.share_window([topics.STATUS, topics.STATUS_AGAIN], 1_000)
    return lambda: Enricher(
        engine=engine,
        out=out,
        seen=seen,
        subscriptions=subscriptions,
        renderer=Texts(),
        policy=EnrichPolicy(expire_after_s=3_600.0, waits=2),
        tiers_s=(30.0, 120.0),
        partitions=1,
        catch_up=read_to_the_end,
        guard=guard,
        metrics=metrics,
        clock_ms=clock,
        # What two events give rise to: a line of the ledger and a notification each.
        at_once=4,
    )


@pytest.fixture
def enricher(make: Callable[[], Enricher]) -> Enricher:
    return make()


async def take(enricher: Enricher, *records: Consumed) -> None:
    """Have it process records that arrived together."""
    arrived = enricher.engine.in_flight.admit(TP(records[0].topic, records[0].partition), records)
    await enricher.process(Turn([arrived]))


def event(id: str = "e-1", shipment: str = "s-1", **fields: object) -> dict[str, object]:
    return {"event_id": id, "shipment_id": shipment, "status": "ARRI", "occurred_at": "2026-11-23T10:00:00Z"} | fields


def published(
    offset: int,
    value: object,
    *,
    key: bytes | None = b"s-1",
    partition: int = 0,
    topic: str = topics.STATUS,
    headers: object = (),
) -> Consumed:
    raw = value if isinstance(value, bytes | None) else msgspec.json.encode(value)
    return Consumed(topic, partition, offset, key, raw, headers)  # type: ignore[arg-type]


def again(record: Record, offset: int = 0) -> Consumed:
    """The record, as the broker hands it to whoever reads the topic that it was sent to."""
    return Consumed(record.topic, 0, offset, record.key, record.value, record.headers or [])  # type: ignore[arg-type]


def returned(record: Record, offset: int = 0) -> Consumed:
    """The record, as the retry role returns it when it is due."""
    return again(record, offset)._replace(topic=topics.STATUS_AGAIN)


def dispositions(out: Out) -> list[object]:
    return [line["disposition"] for line in out.values(topics.LEDGER)]


def bodies(out: Out) -> list[object]:
    return [one["body"] for one in out.values(BULK)]


async def test_no_event_is_decided_on_before_its_subscriptions_are_read(
    make: Callable[[], Enricher], out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause the old ones are there, and who they name may have left since."""
    read = asyncio.Event()
    asked: list[tuple[set[int], float]] = []

    async def catch_up(partitions: Iterable[int], limit_s: float) -> bool:
        asked.append((set(partitions), limit_s))
        return await read.wait()

    deciding = asyncio.ensure_future(take(replace(make(), catch_up=catch_up), published(0, event())))
    await turns()
    assert (asked, out.records) == ([({0}, CATCH_UP_S)], [])
    read.set()
    await deciding
    assert dispositions(out) == ["accepted"]


async def test_a_turn_waits_once_for_subscriptions_that_do_not_come_to_their_end(
    make: Callable[[], Enricher], out: Out
) -> None:
    limits: list[float] = []
    come: list[Fetch] = []

    async def in_vain(partitions: Iterable[int], limit_s: float) -> bool:
        limits.append(limit_s)
        return False

    enricher = replace(make(), catch_up=in_vain)

    def admit(*offsets: int) -> Fetch:
        records = [published(offset, event(f"e-{offset}")) for offset in offsets]
        return enricher.engine.in_flight.admit(TP(topics.STATUS, 0), records)

    async def meanwhile(records: Sequence[Record]) -> dict[int, int]:
        if len(limits) == 1 and not come:
            come.append(admit(3))
        return await whole(records)

    whole, out.send_all = out.send_all, meanwhile  # type: ignore[method-assign]
    come.append(admit(0, 1, 2))
    await enricher.process(Turn(come))
    assert (limits, dispositions(out)) == ([CATCH_UP_S, 0.0], ["accepted"] * 4)


async def test_where_subscriptions_cannot_be_read_to_their_end_events_go_on(
    make: Callable[[], Enricher], out: Out
) -> None:
    async def in_vain(partitions: Iterable[int], limit_s: float) -> bool:
        return False

    await take(replace(make(), catch_up=in_vain), published(0, event()))
    assert dispositions(out) == ["accepted"]


@pytest.mark.parametrize(("read", "comes_to"), [(True, ["unsubscribed"]), (False, [])])
async def test_nobody_is_called_unsubscribed_while_subscriptions_are_still_to_be_read(
    make: Callable[[], Enricher], out: Out, read: bool, comes_to: list[str]
) -> None:
    async def catch_up(partitions: Iterable[int], limit_s: float) -> bool:
        return read

    looked = trails.write(Trail(attempts=2, origin_topic=topics.STATUS, first_seen_ms=T0_MS))
    last_look = published(0, event(shipment="s-9"), key=b"s-9", topic=topics.STATUS_AGAIN, headers=looked)
    await take(replace(make(), catch_up=catch_up), last_look)
    assert dispositions(out) == comes_to
    assert len(out.on("herald.retry.120s.v1")) == (0 if read else 1)


async def test_an_event_is_seen_only_after_its_notifications_are_durable(enricher: Enricher, journal: Journal) -> None:
    await take(enricher, published(0, event()))
    assert journal == [f"produced {topics.LEDGER}", f"produced {BULK}", f"produced {SEEN}"]


MANY = pytest.mark.parametrize(
    "records",
    [
        [published(offset, event(f"e-{offset}")) for offset in range(5)],
        [published(0, [event(f"e-{number}") for number in range(5)])],
    ],
    ids=["records", "one document"],
)


@MANY
async def test_a_large_turn_becomes_durable_in_parts(
    records: Sequence[Consumed], enricher: Enricher, journal: Journal, out: Out
) -> None:
    """What waits to be sent, and what a crash may have made again, is bounded, whatever a turn brings."""
    await take(enricher, *records)
    told = [f"produced {topics.LEDGER}", f"produced {BULK}"]
    rows = [f"produced {SEEN}"]
    assert journal == [*2 * told, *2 * rows, *2 * told, *2 * rows, *told, *rows]
    assert bodies(out) == [f"e-{offset}" for offset in range(5)]
    assert enricher.engine.in_flight.watermarks() == {TP(topics.STATUS, 0): len(records)}


@MANY
async def test_of_a_turn_that_is_broken_off_only_the_last_part_is_made_again(
    records: Sequence[Consumed], make: Callable[[], Enricher], out: Out
) -> None:
    rows_before = 0

    async def dying(records: Sequence[Record]) -> dict[int, int]:
        nonlocal rows_before
        rows_before += sum(record.topic == SEEN for record in records)
        if rows_before > 2 and records and records[0].topic == SEEN:
            raise ProduceFailed("the worker is gone")
        return await whole(records)

    whole, out.send_all = out.send_all, dying  # type: ignore[method-assign]
    with pytest.raises(ProduceFailed):
        await take(make(), *records)
    out.send_all = whole  # type: ignore[method-assign]
    await take(make(), *records)
    assert bodies(out) == ["e-0", "e-1", "e-2", "e-3", "e-2", "e-3", "e-4"]


@MANY
async def test_a_turn_ends_between_two_parts_when_its_partitions_are_taken_away(
    records: Sequence[Consumed], enricher: Enricher, out: Out
) -> None:
    async def draining(records: Sequence[Record]) -> dict[int, int]:
        enricher.engine._draining = True
        return await whole(records)

    whole, out.send_all = out.send_all, draining  # type: ignore[method-assign]
    with pytest.raises(Drained):
        await take(enricher, *records)
    assert bodies(out) == ["e-0", "e-1"]
    assert len(out.on(SEEN)) == 2
    assert enricher.engine.in_flight.watermarks() == {}


@MANY
async def test_a_turn_ends_between_two_parts_when_the_role_halts(
    records: Sequence[Consumed], enricher: Enricher, out: Out
) -> None:
    """Otherwise all of it would become dead letters before anybody could look."""

    async def halting(records: Sequence[Record]) -> dict[int, int]:
        enricher.engine.halt.begin(HaltCause.DEAD_LETTERS, "too many dead letters")
        return await whole(records)

    whole, out.send_all = out.send_all, halting  # type: ignore[method-assign]
    with pytest.raises(Drained):
        await take(enricher, *records)
    assert bodies(out) == ["e-0", "e-1"]
    assert len(out.on(SEEN)) == 2


@MANY
async def test_a_turn_does_not_outlive_its_partitions(
    records: Sequence[Consumed], enricher: Enricher, out: Out
) -> None:
    """A part took longer than a rebalance waits: the rest is somebody else's."""

    async def late(records: Sequence[Record]) -> dict[int, int]:
        enricher.engine.reset()
        return await whole(records)

    whole, out.send_all = out.send_all, late  # type: ignore[method-assign]
    with pytest.raises(Drained):
        await take(enricher, *records)
    assert bodies(out) == ["e-0", "e-1"]


def urgent(id: str, **fields: object) -> dict[str, object]:
    return event(id, status="HOLD", **fields)


@pytest.fixture
def two_shipments(subscriptions: Subscriptions) -> None:
    """A second one beside s-1, which anna follows, too."""
    stored = subscriptions.table.stored[0]  # type: ignore[attr-defined]
    stored[b"s-2"] = stored[b"s-1"].replace(b"s-1", b"s-2")


def told_in_turn(out: Out) -> list[object]:
    """The events of notifications of either lane, in the order in which they were made."""
    lanes = {BULK, URGENT}
    return [msgspec.json.decode(one.value or b"")["event_id"] for one in out.records if one.topic in lanes]


@pytest.mark.usefixtures("two_shipments")
async def test_an_urgent_event_goes_first_and_waits_for_no_part_to_be_full(
    enricher: Enricher, out: Out, journal: Journal
) -> None:
    bulk = [published(offset, event(f"e-{offset}")) for offset in range(3)]
    await take(enricher, *bulk, published(3, urgent("now", shipment="s-2"), key=b"s-2"))
    assert told_in_turn(out) == ["now", "e-0", "e-1", "e-2"]
    assert journal[:3] == [f"produced {topics.LEDGER}", f"produced {URGENT}", f"produced {SEEN}"]
    assert enricher.engine.in_flight.watermarks() == {TP(topics.STATUS, 0): 4}


async def test_it_does_not_overtake_its_own_shipment(enricher: Enricher, out: Out) -> None:
    """A correction that came before what it corrects would be taken for the first word."""
    bulk = [published(offset, event(f"e-{offset}")) for offset in range(3)]
    await take(enricher, *bulk, published(3, urgent("now")), published(4, event("later")))
    assert told_in_turn(out) == ["e-0", "e-1", "e-2", "now", "later"]


@pytest.mark.usefixtures("two_shipments")
async def test_an_urgent_event_of_a_document_does_not_wait_for_the_others(enricher: Enricher, out: Out) -> None:
    document = [*(event(f"e-{number}") for number in range(3)), urgent("now", shipment="s-2")]
    await take(enricher, published(0, document, key=b"s-1"), published(1, event("next")))
    (sent_on,) = out.on(topics.STATUS_AGAIN)
    assert out.records[0] == sent_on, "to its own key, before anything else"
    assert told_in_turn(out) == ["e-0", "e-1", "e-2", "next"]
    assert enricher.engine.in_flight.watermarks() == {TP(topics.STATUS, 0): 2}


@pytest.mark.usefixtures("two_shipments")
async def test_an_urgent_event_that_comes_during_a_turn_goes_before_its_rest(enricher: Enricher, out: Out) -> None:
    come: list[Fetch] = []

    def admit(*records: Consumed) -> Fetch:
        return enricher.engine.in_flight.admit(TP(topics.STATUS, 0), records)

    async def meanwhile(records: Sequence[Record]) -> dict[int, int]:
        if bodies(out) == [] and not come:
            late = [published(5, event("late")), published(6, urgent("now", shipment="s-2"), key=b"s-2")]
            come.append(admit(*late))
        return await whole(records)

    whole, out.send_all = out.send_all, meanwhile  # type: ignore[method-assign]
    come.append(admit(*(published(offset, event(f"e-{offset}")) for offset in range(5))))
    await enricher.process(Turn(come))
    assert told_in_turn(out) == ["e-0", "e-1", "now", "e-2", "e-3", "e-4", "late"]
    assert enricher.engine.in_flight.watermarks() == {TP(topics.STATUS, 0): 7}


async def test_urgent_events_without_end_do_not_keep_the_others_waiting(enricher: Enricher, out: Out) -> None:
    """Each part brings another: what they overtook goes on all the same, and what is done can be committed."""
    stored = enricher.subscriptions.table.stored[0]  # type: ignore[attr-defined]
    come: list[Fetch] = []
    offset = 3

    async def one_more(records: Sequence[Record]) -> dict[int, int]:
        nonlocal offset
        if records and records[0].topic == SEEN and offset < 100:
            shipment = f"u-{offset}"
            stored[shipment.encode()] = stored[b"s-1"].replace(b"s-1", shipment.encode())
            late = published(offset, urgent(shipment, shipment=shipment), key=shipment.encode())
            come.append(enricher.engine.in_flight.admit(TP(topics.STATUS, 0), [late]))
            offset += 1
        return await whole(records)

    whole, out.send_all = out.send_all, one_more  # type: ignore[method-assign]
    bulk = [published(one, event(f"e-{one}")) for one in range(3)]
    come.append(enricher.engine.in_flight.admit(TP(topics.STATUS, 0), bulk))
    await enricher.process(Turn(come))
    told = told_in_turn(out)
    assert [told.index(f"e-{one}") for one in range(3)] == [0, 1, 3], told[:6]


async def test_no_more_is_taken_apart_ahead_than_a_window_holds(
    enricher: Enricher, out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand documents of a thousand events each would take gigabytes."""
    monkeypatch.setattr("agents.line.EVENTS_AHEAD", 4)
    read: list[int] = []
    found = Enricher._found

    def counting(self: Enricher, record: FetchedRecord, now_ms: int) -> Iterator[tuple[Trail, StatusEvent | Refusal]]:
        read.append(len(bodies(out)))
        return found(self, record, now_ms)

    monkeypatch.setattr(Enricher, "_found", counting)
    await take(enricher, *(published(number, [event(f"{number}-{i}") for i in range(3)]) for number in range(4)))
    assert bodies(out) == [f"{number}-{i}" for number in range(4) for i in range(3)]
    assert read == [0, 0, 4, 6], "each as soon as fewer than four events wait"


async def test_a_turn_whose_first_fetch_has_ended_does_not_outlive_its_partitions(enricher: Enricher, out: Out) -> None:
    async def late(records: Sequence[Record]) -> dict[int, int]:
        if records and records[0].topic == SEEN:
            keep.append(len(bodies(out)))
        if len(keep) == 2:
            enricher.engine.reset()
        return await whole(records)

    keep: list[int] = []
    whole, out.send_all = out.send_all, late  # type: ignore[method-assign]
    events = [published(offset, event(f"e-{offset}")) for offset in range(6)]
    fetches = [enricher.engine.in_flight.admit(TP(topics.STATUS, 0), some) for some in (events[:2], events[2:])]
    with pytest.raises(Drained):
        await enricher.process(Turn(fetches))
    assert bodies(out) == ["e-0", "e-1", "e-2", "e-3"]


async def test_what_was_not_durable_is_not_seen(enricher: Enricher, seen: SeenEvents, out: Out) -> None:
    out.fails.add(BULK)
    with pytest.raises(ProduceFailed):
        await take(enricher, published(0, event()))
    assert seen.table.read(0, b"\x1fe-1") is None
    out.fails.clear()
    await take(enricher, published(0, event()))
    assert bodies(out) == ["e-1"]


async def test_a_notification_goes_to_its_lane_under_its_recipients_key(enricher: Enricher, out: Out) -> None:
    await take(enricher, published(0, event()), published(1, event("e-2", status="HOLD")))
    (bulk,), (urgent,) = out.on(BULK), out.on(URGENT)
    assert bulk.key == urgent.key == b"anna"
    assert [line["notifications"][0]["lane"] for line in out.values(topics.LEDGER)] == ["bulk", "urgent"]  # type: ignore[index]


async def test_a_repeat_is_recognised_within_a_turn_and_after_it(enricher: Enricher, out: Out) -> None:
    await take(enricher, published(0, event()), published(1, event()))
    await take(enricher, published(2, event()))
    assert dispositions(out) == ["accepted", "repeated", "repeated"]
    assert bodies(out) == ["e-1"]


async def test_the_same_record_after_a_crash_is_passed_over(
    enricher: Enricher, make: Callable[[], Enricher], out: Out
) -> None:
    await take(enricher, published(0, event()))
    before = len(out.records)
    await take(make(), published(0, event()))
    assert len(out.records) == before


async def test_a_crash_before_it_was_noted_gives_the_same_notification_again(
    enricher: Enricher, make: Callable[[], Enricher], out: Out
) -> None:
    out.fails.add(SEEN)
    with pytest.raises(ProduceFailed):
        await take(enricher, published(0, event()))
    out.fails.clear()
    await take(make(), published(0, event()))
    first, second = out.values(BULK)
    assert first["id"] == second["id"]


async def test_an_event_was_first_seen_when_kafka_took_it_wherever_it_goes_from_there(
    enricher: Enricher, out: Out, clock: Clock
) -> None:
    seen_ms = T0_MS - 60_123
    await take(enricher, published(0, event(), key=b"another")._replace(timestamp=seen_ms))
    clock.advance(5)
    await take(enricher, returned(out.on(topics.STATUS_AGAIN)[0]))
    (line,), (told,) = out.values(topics.LEDGER), out.values(BULK)
    assert line["first_seen_at"] == told["first_seen_at"] == from_ms(seen_ms).isoformat().replace("+00:00", "Z")
    assert line["recorded_at"] == told["created_at"] != line["first_seen_at"]


@pytest.mark.parametrize("value", [event(), b"{"], ids=["an event", "none"])
async def test_a_record_that_kafka_gave_no_time_is_undated(enricher: Enricher, out: Out, value: object) -> None:
    await take(enricher, published(0, value)._replace(timestamp=-1))
    assert {line["first_seen_at"] for line in out.values(topics.LEDGER) + out.values(BULK)} == {"1970-01-01T00:00:00Z"}


async def test_each_event_of_a_document_stands_for_itself(enricher: Enricher, out: Out) -> None:
    document = [event("e-1"), event("e-2", status="NONE"), event("bug"), event("e-4")]
    await take(enricher, published(5, document), published(6, event("e-5")))
    assert bodies(out) == ["e-1", "e-4", "e-5"]
    lines = out.values(topics.LEDGER)
    assert [(line["disposition"], line["source"]["index"]) for line in lines] == [  # type: ignore[index]
        ("accepted", 0),
        ("refused", 1),
        ("refused", 2),
        ("accepted", 3),
        ("accepted", 0),
    ]
    told = [trails.read(dead.headers, T0_MS) for dead in out.on(topics.DLQ)]  # type: ignore[arg-type]
    assert [(one.reason, one.origin_offset, one.origin_index) for one in told] == [
        ("invalid-input", 5, 1),
        ("bug", 5, 2),
    ]
    assert "[1].status" in told[0].error


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"[" * 100_000, b"\xff", b"1" * (1 << 20 | 1), b'{"other":1}'],
    ids=["null", "empty", "no JSON", "no events", "nested for ever", "not UTF-8", "too large", "unknown"],
)
async def test_bad_input_is_set_aside_whole_and_the_rest_flows_on(
    enricher: Enricher, out: Out, value: bytes | None
) -> None:
    await take(enricher, published(0, value), published(1, event()))
    assert dispositions(out) == ["refused", "accepted"]
    (dead,) = out.on(topics.DLQ)
    assert (dead.key, dead.value) == (b"s-1", value)


@pytest.mark.parametrize("key", [b"s-2", None, b"\xff"], ids=["another shipment's", "none", "no text"])
async def test_an_event_under_a_wrong_key_finds_its_partition(enricher: Enricher, out: Out, key: bytes | None) -> None:
    await take(enricher, published(4, event(), key=key, partition=2))
    (forwarded,) = out.records
    assert (forwarded.topic, forwarded.key) == (topics.STATUS_AGAIN, b"s-1")
    await take(enricher, again(forwarded))
    (line,) = out.values(topics.LEDGER)
    assert line["source"] == {"topic": topics.STATUS, "partition": 2, "offset": 4, "index": 0}
    assert bodies(out) == ["e-1"]


async def test_an_event_waits_for_its_subscription_and_is_told_when_it_comes(
    enricher: Enricher, subscriptions: Subscriptions, out: Out, clock: Clock
) -> None:
    record = published(3, event(shipment="s-9"), key=b"s-9")
    await take(enricher, record)
    (waits,) = out.on("herald.retry.30s.v1")
    trail = trails.read(waits.headers, clock())  # type: ignore[arg-type]
    assert (waits.key, trail.due_ms, trail.target) == (b"s-9", T0_MS + 30_000, topics.STATUS_AGAIN)
    assert out.on(topics.LEDGER) == [], "nothing has become of it yet"
    row = (subscriptions.table.read(0, b"s-1") or b"").replace(b"s-1", b"s-9")
    subscriptions.table.stored[0][b"s-9"] = row  # type: ignore[attr-defined]
    clock.advance(30)
    await take(enricher, returned(waits))
    assert bodies(out) == ["e-1"]
    (line,) = out.values(topics.LEDGER)
    assert line["source"] == {"topic": topics.STATUS, "partition": 0, "offset": 3, "index": 0}


async def test_an_event_that_nobody_subscribed_to_ends_after_its_last_look(enricher: Enricher, out: Out) -> None:
    await take(enricher, published(0, event(shipment="s-9"), key=b"s-9"))
    await take(enricher, returned(out.on("herald.retry.30s.v1")[0]))
    await take(enricher, returned(out.on("herald.retry.120s.v1")[0]))
    assert dispositions(out) == ["unsubscribed"]
    assert len(out.records) == 3


async def test_a_template_that_fails_ends_its_notification_and_tells_why(
    enricher: Enricher, out: Out, registry: CollectorRegistry
) -> None:
    await take(enricher, published(0, event("template")))
    (outcome,), (line,) = out.values(topics.OUTCOMES), out.values(topics.LEDGER)
    assert (outcome["status"], outcome["attempts"]) == ("technical-failure", 0)
    assert [born["id"] for born in line["notifications"]] == [outcome["notification_id"]]  # type: ignore[attr-defined]
    assert [trails.read(dead.headers, T0_MS).reason for dead in out.on(topics.DLQ)] == ["template"]  # type: ignore[arg-type]
    # Made and ended: else its failures would be in no alert, and the account of the metrics would not close.
    ended = {"channel": "sms", "provider": "none", "status": "technical-failure"}
    assert registry.get_sample_value("herald_outcomes_total", ended) == 1
    assert registry.get_sample_value("herald_notifications_created_total", {"channel": "sms", "lane": "bulk"}) == 1


async def test_a_strangers_headers_mean_nothing_on_the_public_topic(enricher: Enricher, out: Out) -> None:
    """They would let anybody choose the source that repeats are recognised by."""
    forged = trails.write(Trail(attempts=99, origin_topic=topics.STATUS, origin_offset=7))
    await take(enricher, published(0, event(), headers=forged))
    (line,) = out.values(topics.LEDGER)
    assert line["source"]["offset"] == 0  # type: ignore[index]


async def test_hostile_headers_on_our_own_topic_are_refused(enricher: Enricher, out: Out) -> None:
    headers = [("herald-attempts", b"-1")]
    await take(enricher, published(0, event(), topic=topics.STATUS_AGAIN, headers=headers))
    assert dispositions(out) == ["refused"]
    (dead,) = out.on(topics.DLQ)
    assert "herald-attempts" in trails.read(dead.headers, T0_MS).error  # type: ignore[arg-type]


async def test_an_event_in_a_wrong_partition_is_sent_to_its_own(enricher: Enricher, out: Out) -> None:
    """librdkafka's default partitioner puts keys elsewhere than Kafka's own, and subscriptions lie by the latter."""
    await take(enricher, published(0, event(), partition=1))
    (forwarded,) = out.records
    assert (forwarded.topic, forwarded.key) == (topics.STATUS_AGAIN, b"s-1")


async def test_what_was_sent_on_once_is_not_sent_on_again(enricher: Enricher, out: Out) -> None:
    """Settings that name another number of partitions than the topics have must not send events round for ever."""
    await take(enricher, published(0, event(), topic=topics.STATUS_AGAIN, partition=1))
    assert dispositions(out) == ["accepted"]
    assert not out.on(topics.STATUS_AGAIN)


def bug(offset: int) -> object:
    return event("bug")


def broken_template(offset: int) -> object:
    # Another issuer's is another event, and no repeat.
    return event("template", issuer=f"i-{offset}")


def sound(offset: int) -> object:
    return event(f"e-{offset}")


def no_json(offset: int) -> object:
    return b"{"


def unknown_status(offset: int) -> object:
    return event(status="NONE")


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([bug] * 3, "3 bugs in a row", id="bugs"),
        pytest.param([broken_template] * 3, "3 bugs in a row", id="templates that fail"),
        pytest.param([bug, broken_template, bug], "3 bugs in a row", id="of both kinds"),
        pytest.param(
            [broken_template, no_json, broken_template, no_json, broken_template],
            "3 bugs in a row",
            id="with a publisher's between them",
        ),
        pytest.param([broken_template] * 2, None, id="one less"),
        pytest.param([*2 * [broken_template], sound, *2 * [broken_template]], None, id="a row that was broken"),
        pytest.param([no_json] * 3, None, id="no JSON: the publisher's fault"),
        pytest.param([unknown_status] * 3, None, id="a broken event: the publisher's fault"),
    ],
)
async def test_too_many_faults_of_ours_in_a_row_halt_the_role(
    enricher: Enricher,
    out: Out,
    registry: CollectorRegistry,
    events: Sequence[Callable[[int], object]],
    reason: str | None,
) -> None:
    for offset, make_event in enumerate(events):
        await take(enricher, published(offset, make_event(offset)))
    assert len(dispositions(out)) == len(events)
    assert enricher.engine.halt.reason == reason
    halted = registry.get_sample_value("herald_halted", {"cause": HaltCause.DEAD_LETTERS})
    assert bool(halted) is (reason is not None)


async def test_what_publishers_break_is_no_part_of_too_many(enricher: Enricher, out: Out) -> None:
    """However much of all it is: one of them must not stop the others."""
    strict = DeadLetterPolicy(consecutive=3, ratio=0.1, window=4)
    careful = replace(enricher, guard=DeadLetterGuard(strict, enricher.engine.halt))
    await take(careful, *(published(offset, b"{") for offset in range(8)))
    assert (len(out.on(topics.DLQ)), careful.engine.halt.reason) == (8, None)


async def test_the_fault_that_is_one_too_many_ends_the_turn(enricher: Enricher, out: Out) -> None:
    with pytest.raises(Drained):
        await take(enricher, *(published(offset, broken_template(offset)) for offset in range(20)))
    assert len(out.on(topics.DLQ)) == 4, "two at once"
    assert enricher.engine.in_flight.watermarks() == {}, "what is left of the fetch comes back"
