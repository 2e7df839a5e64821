"""`herald dlq` on a real broker: dead letters are found, shown, and replayed once, under new ids, into the account.

The topics are the session's: each test finds its own dead letters by the ids that Kafka gave them.
"""

import json
import secrets
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

import topics
from agents.turn import dead_letter, encode
from cli.dlq import dlq
from cli.dlq_plan import make_plan
from cli.dlq_reader import read_dead_letters
from cli.dlq_records import with_producer
from cli.dlq_replay import Done, replay_all
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.ledger import EventRecord
from pipeline.notifications import Channel, Lane, Notification, replay_id
from pipeline.trail import Trail
from streaming.producer import ProduceFailed, Record, RecordSink
from tests.integration.cli.from_here_on import reading

PARTITIONS = 3
LANE = topics.lane(Channel.SMS, Lane.URGENT)
SET = AlterConfigOpType.SET
MAX_MESSAGE_BYTES = 8 << 20
LIMITS = {topics.DLQ: 8 << 20, topics.STATUS: 8 << 20, topics.LEDGER: 1 << 20, LANE: 1 << 20}
TIMEOUT_S = 30.0


@pytest.fixture(scope="module", autouse=True)
def _topics(kafka: str) -> None:
    """Another test may have made them with limits of its own."""
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in LIMITS], operation_timeout=TIMEOUT_S)
    for future in made.values():
        error = future.exception(timeout=TIMEOUT_S)
        assert error is None or "exists" in str(error)
    limited = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            name,
            incremental_configs=[ConfigEntry("max.message.bytes", str(limit), incremental_operation=SET)],
        )
        for name, limit in LIMITS.items()
    ]
    for future in admin.incremental_alter_configs(limited).values():
        future.result(TIMEOUT_S)


@pytest.fixture
def published(kafka: str) -> Iterator[Consumer]:
    """What comes onto the public topic, the lane and the ledger from here on."""
    with reading(kafka, (topics.STATUS, topics.LEDGER, LANE)) as consumer:
        yield consumer


def die(kafka: str, *records: Record) -> list[str]:
    """The ids of the dead letters."""
    ids: dict[int, str] = {}
    producer = Producer({"bootstrap.servers": kafka, "acks": "all", "message.max.bytes": MAX_MESSAGE_BYTES})
    for number, record in enumerate(records):

        def delivered(error: object, message: Message, number: int = number) -> None:
            assert error is None
            ids[number] = f"{message.partition()}-{message.offset()}"

        producer.produce(record.topic, record.value, record.key, headers=record.headers, on_delivery=delivered)
    assert producer.flush(TIMEOUT_S) == 0
    return [ids[number] for number in range(len(records))]


def refused(value: bytes | None, *, offset: int | None = None, index: int = 0, reason: str = "invalid-input") -> Record:
    """Of a document of its own, unless told of which."""
    at = secrets.randbelow(10**12) if offset is None else offset
    trail = Trail(origin_topic=topics.STATUS, origin_offset=at, origin_index=index, first_seen_ms=1)
    headers = [("content-type", b"application/json"), ("ce_id", b"dropped")]
    return dead_letter(b"EXB1", value, trail, DeadLetterReason(reason), "eventID: missing", headers)


def notification() -> Notification:
    created = datetime.now(UTC) - timedelta(days=3)
    return Notification(
        id=str(uuid.uuid4()),
        event_id="e-1",
        shipment_id="EXB1",
        recipient="anna",
        channel=Channel.SMS,
        lane=Lane.URGENT,
        address="+79991234567",
        title="",
        body="On board",
        template="loaded",
        template_version=3,
        locale="en",
        created_at=created,
        expires_at=created + timedelta(hours=24),
    )


def exhausted(
    told: Notification, offset: int = 1, reason: DeadLetterReason = DeadLetterReason.RETRIES_EXHAUSTED
) -> Record:
    trail = Trail(origin_topic=LANE, origin_offset=offset, attempts=6, provider="http")
    return dead_letter(b"anna", encode(told), trail, reason, "503: no, +79991234567")


def run(kafka: str, *arguments: object) -> Result:
    environment = {"HERALD_KAFKA": kafka, "HERALD_START_TIMEOUT_S": "15", "COLUMNS": "200"}
    return CliRunner(env=environment).invoke(dlq, [str(argument) for argument in arguments])


def listed(kafka: str, *arguments: object) -> dict[str, dict[str, object]]:
    result = run(kafka, "list", "--json", "--limit", 10_000, *arguments)
    assert result.exit_code == 0, result.output
    return {one["id"]: one for one in map(json.loads, result.output.splitlines())}


def arrived(consumer: Consumer, count: int) -> list[Message]:
    """Exactly so many: what comes by mistake comes at once."""
    messages = consumer.consume(count, timeout=TIMEOUT_S) if count else []
    assert [message.error() for message in messages] == [None] * count
    assert consumer.consume(1, timeout=1.0) == []
    return messages


def test_the_list_finds_by_filter_and_shows_nothing_personal(kafka: str) -> None:
    bad, sms = die(kafka, refused(b"{"), exhausted(notification()))
    assert {bad, sms} <= listed(kafka).keys()
    for arguments, found in (
        (["--channel", "sms"], {sms}),
        (["--reason", "invalid-input"], {bad}),
        (["--origin-topic", "herald."], {sms}),
        (["--since", "1h", "--origin-topic", "cargo."], {bad}),
        (["--since", "2100-01-01"], set()),
        (["--until", "2100-01-01", "--error", "EVENTid: missing"], {bad}),
        (["--until", "1d"], set()),
        (["--recipient", "anna", "--event", "e-1"], {sms}),
        (["--shipment", "EXB1"], {bad, sms}),
        (["--shipment", "EXB2"], set()),
    ):
        assert listed(kafka, *arguments).keys() & {bad, sms} == found
    table = run(kafka, "list", "--channel", "sms")
    assert sms in table.output
    assert "retries-exhausted" in table.output.splitlines()[-1]
    assert "× 503: no, +***67" in table.output
    everything = table.output + run(kafka, "list", "--json").output
    assert "+79991234567" not in everything
    assert "On board" not in everything


def test_the_list_is_limited_to_the_newest_and_counts_all(kafka: str) -> None:
    ids = die(kafka, *(refused(b"{") for _ in range(5)))
    result = run(kafka, "list", "--limit", 2, "--json")
    assert [json.loads(one)["id"] for one in result.output.splitlines()] == [ids[4], ids[3]]
    assert "(2 shown)" in run(kafka, "list", "--limit", 2).output


def test_one_is_shown_masked_unless_asked(kafka: str) -> None:
    (sms,) = die(kafka, exhausted(notification()))
    masked = run(kafka, "show", sms)
    assert masked.exit_code == 0, masked.output
    for told in (LANE, "retries-exhausted", '"recipient": "anna"', "nothing"):
        assert told in masked.output
    assert "+79991234567" not in masked.output
    assert '"address": "+79991234567"' in run(kafka, "show", sms, "--unmasked").output


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"x" * 5_000_000], ids=["null", "empty", "bytes", "5 MB"])
def test_hostile_input_goes_back_byte_for_byte(kafka: str, published: Consumer, value: bytes | None) -> None:
    (bad,) = die(kafka, refused(value))
    assert run(kafka, "show", bad).exit_code == 0
    result = run(kafka, "replay", bad, "--yes")
    assert result.exit_code == 0, result.output
    (message,) = arrived(published, 1)
    assert (message.topic(), message.key(), message.value()) == (topics.STATUS, b"EXB1", value)
    assert message.headers() == [("content-type", b"application/json")]


def test_a_dry_run_is_the_default_and_does_nothing(kafka: str, published: Consumer) -> None:
    told = notification()
    (sms,) = die(kafka, exhausted(told))
    result = run(kafka, "replay", sms)
    assert result.exit_code == 0, result.output
    for said in (sms, LANE, replay_id(told.id, 1), "Nothing was done"):
        assert said in result.output
    arrived(published, 0)
    assert listed(kafka)[sms]["replays"] == 0


def test_a_notification_is_told_once_more_under_a_new_id_and_accounted_for(kafka: str, published: Consumer) -> None:
    told = notification()
    # A crash between the dead letter and the commit leaves it twice.
    sms, twin = die(kafka, exhausted(told), exhausted(told))
    before = datetime.now(UTC)
    result = run(kafka, "replay", sms, twin, "--yes")
    assert result.exit_code == 0, result.output
    assert "1 replayed, 0 failed" in result.output
    by_topic = {message.topic(): message for message in arrived(published, 2)}
    again = msgspec.json.decode(by_topic[LANE].value(), type=Notification)
    assert (again.id, again.replay_of, again.address) == (replay_id(told.id, 1), told.id, told.address)
    assert before <= again.created_at <= datetime.now(UTC)
    assert again.expires_at - again.created_at == timedelta(hours=24)
    assert by_topic[LANE].headers() == [("herald-replay", b"1")]
    entry = msgspec.json.decode(by_topic[topics.LEDGER].value(), type=EventRecord)
    assert (entry.source.topic, f"{entry.source.partition}-{entry.source.offset}") == (topics.DLQ, sms)
    assert [one.id for one in entry.notifications] == [again.id]

    assert [listed(kafka)[one]["replays"] for one in (sms, twin)] == [1, 1]
    repeated = run(kafka, "replay", sms, twin, "--yes")
    assert repeated.exit_code == 0
    assert "replayed already" in repeated.output
    arrived(published, 0)

    assert run(kafka, "replay", twin, "--again", "--yes").exit_code == 0
    ids = [json.loads(message.value())["id"] for message in arrived(published, 2) if message.topic() == LANE]
    assert ids == [replay_id(told.id, 2)]
    assert listed(kafka)[sms]["replays"] == 2


class BreaksOff:
    """Takes everything but marks: as if the process had been killed between a replay and its mark."""

    def __init__(self, out: RecordSink) -> None:
        self._out = out

    async def send_all(self, records: Sequence[Record]) -> dict[int, int]:
        if any(record.topic == topics.DLQ for record in records):
            raise ProduceFailed("killed")
        return await self._out.send_all(records)


def test_a_replay_broken_off_before_its_mark_tells_under_the_same_id_when_run_again(
    kafka: str, published: Consumer
) -> None:
    told = notification()
    (sms,) = die(kafka, exhausted(told))
    found = read_dead_letters(kafka, TIMEOUT_S, lambda letter: letter.id == sms, with_values=True)
    plan = make_plan(found.letters, found.histories, again=False)
    results: list[Done] = []

    async def broken_off(out: RecordSink) -> None:
        clock = partial(datetime.now, UTC)
        await replay_all(plan.replays, BreaksOff(out), by="olga", per_second=100, clock=clock, on_done=results.append)

    with_producer(kafka, broken_off)
    assert [done.error for done in results] == ["replayed, but not marked so: killed"]
    assert listed(kafka)[sms]["replays"] == 0
    assert run(kafka, "replay", sms, "--yes").exit_code == 0
    messages = arrived(published, 4)
    ids = [json.loads(message.value())["id"] for message in messages if message.topic() == LANE]
    assert ids == [replay_id(told.id, 1)] * 2
    # The same attempt of the same id in the same partition: send takes the second for what it is.
    assert (
        len({(message.partition(), tuple(message.headers())) for message in messages if message.topic() == LANE}) == 1
    )
    entries = [message for message in messages if message.topic() == topics.LEDGER]
    sources = {str(msgspec.json.decode(message.value(), type=EventRecord).source) for message in entries}
    assert len(sources) == 1, "one line of the ledger"
    assert listed(kafka)[sms]["replays"] == 1


def test_doubt_is_told_again_only_where_it_is_asked_for(kafka: str, published: Consumer) -> None:
    event = f"e-{secrets.token_hex(6)}"
    mine = [msgspec.structs.replace(notification(), event_id=event) for _ in range(3)]
    ids = die(kafka, exhausted(mine[0]), *(exhausted(one, reason=DeadLetterReason.IN_DOUBT) for one in mine[1:]))
    *_, said = run(kafka, "replay", "--event", event).output.splitlines()
    assert said == "Nothing was done: --yes replays 1: 1 retries-exhausted."
    assert "2 in doubt: ask the provider" in run(kafka, "replay", "--event", event, "--yes").output
    arrived(published, 2)
    assert run(kafka, "replay", "--event", event, "--reason", "in-doubt").output.endswith(
        "Nothing was done: --yes replays 2: 2 in-doubt.\n2 of them may have been told already.\n"
    )
    assert run(kafka, "replay", ids[2], "--yes").exit_code == 0
    arrived(published, 2)


def test_what_is_parked_is_left_alone_until_it_is_asked_for(kafka: str, published: Consumer) -> None:
    told = notification()
    sms, other = die(kafka, exhausted(told), exhausted(notification()))
    assert run(kafka, "park", sms, "--why", "the provider looks into +79991234567").output == "1 dead letters parked\n"
    assert (sms in listed(kafka), other in listed(kafka)) == (False, True)
    parked = listed(kafka, "--parked")
    assert (parked[sms]["parked_why"], other in parked) == ("the provider looks into +***67", False)
    shown = run(kafka, "show", sms).output
    assert "parked by " in shown
    assert "the provider looks into +***67" in shown
    assert "1 were parked before" in run(kafka, "park", sms, "--why", "again").output

    refused = run(kafka, "replay", sms, "--yes")
    assert (refused.exit_code, "parked; --parked takes what is" in refused.output) == (0, True)
    arrived(published, 0)
    assert run(kafka, "replay", sms, "--parked", "--yes").exit_code == 0
    assert replay_id(told.id, 1).encode() in b"".join(message.value() for message in arrived(published, 2))
    assert listed(kafka, "--replayed")[sms]["parked"] is False, "a replay ends a parking"
    assert sms not in listed(kafka, "--not-replayed")


def test_what_is_unparked_is_to_be_dealt_with_again(kafka: str) -> None:
    event = f"e-{secrets.token_hex(6)}"
    mine = die(kafka, *(exhausted(msgspec.structs.replace(notification(), event_id=event)) for _ in range(3)))
    assert run(kafka, "park", "--event", event, "--why", "a test").output == "3 dead letters parked\n"
    assert not listed(kafka).keys() & set(mine)
    assert run(kafka, "unpark", "--event", event, "--reason", "retries-exhausted").output.startswith("3 dead letters")
    assert listed(kafka).keys() >= set(mine)


@pytest.mark.parametrize(
    "command",
    [
        ["park", "--why", "all"],
        ["unpark"],
        ["park", "0-0", "--why", " "],
        ["replay", "--yes"],
        ["replay", "--again", "--parked"],
    ],
)
def test_what_changes_something_wants_to_know_what_and_why(kafka: str, command: list[str]) -> None:
    assert run(kafka, *command).exit_code == 2


def test_a_document_with_two_broken_events_goes_back_once(kafka: str, published: Consumer) -> None:
    at, value = secrets.randbelow(10**12), b'{"events": [1, 2]}'
    ids = die(kafka, refused(value, offset=at, index=0), refused(value, offset=at, index=1))
    assert run(kafka, "replay", *ids, "--yes", "--rate", 1).exit_code == 0
    arrived(published, 1)


def test_what_cannot_be_replayed_is_said(kafka: str, published: Consumer) -> None:
    (unrendered,) = die(kafka, refused(b"{}", reason="template"))
    result = run(kafka, "replay", unrendered, "--yes")
    assert result.exit_code == 0
    assert "not replayable: enrich would refuse it" in result.output
    arrived(published, 0)


def test_a_replay_that_kafka_refuses_makes_the_exit_code_1_and_is_not_marked(kafka: str) -> None:
    # Of what cannot be compressed: the broker's limit is for what arrives there.
    big = msgspec.structs.replace(notification(), body=secrets.token_hex(2 * LIMITS[LANE]))
    ids = die(kafka, exhausted(big), exhausted(notification()))
    result = run(kafka, "replay", *ids, "--yes")
    assert result.exit_code == 1, result.output
    assert "failed:" in result.output
    assert "1 replayed, 1 failed" in result.output
    assert [listed(kafka)[one]["replays"] for one in ids] == [0, 1]


def test_an_id_that_the_filters_leave_out_is_told_from_one_that_is_not_there(kafka: str) -> None:
    (sms,) = die(kafka, exhausted(notification()))
    result = run(kafka, "replay", sms, "99-0", "--reason", "bug")
    assert result.exit_code == 1
    assert f"{sms} is there, but the filters leave it out; herald.dlq.v1 has no such dead letter: 99-0" in result.output


@pytest.mark.parametrize("command", [["show", "99-0"], ["replay", "99-0", "--yes"], ["replay", "0-999999999"]])
def test_an_id_that_is_not_there_is_told(kafka: str, command: list[str]) -> None:
    result = run(kafka, *command)
    assert result.exit_code == 1
    assert "no such dead letter" in result.output


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--json"],
        ["show", "0-0"],
        ["replay", "0-0", "--yes"],
        ["park", "0-0", "--why", "x"],
        ["purge", "--before", "1d", "--yes"],
    ],
)
def test_a_missing_broker_is_said_in_words(command: list[str]) -> None:
    environment = {"HERALD_KAFKA": "127.0.0.1:1", "HERALD_START_TIMEOUT_S": "1"}
    result = CliRunner(env=environment).invoke(dlq, command)
    assert result.exit_code == 1
    assert result.output.startswith("Error: Kafka at 127.0.0.1:1 (HERALD_KAFKA) does not answer")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [["list"], ["replay", "0-0"]])
def test_a_missing_topic_is_said_with_what_makes_it(
    kafka: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "DLQ", "no.such.dlq.v1")
    result = run(kafka, *command)
    assert (result.exit_code, result.output) == (1, "Error: no.such.dlq.v1 is not there: herald topics create\n")
