"""What is handed over reaches its broker once, in order, or fails in time and says so."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import conn
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streaming import batch, brokers, produce_queue
from streaming import producer as producer_module
from streaming.batch import BATCH_BYTES, Batch
from streaming.connection import LiveConnection
from streaming.lease import seconds_awake_or_not
from streaming.partitioner import partitions_of
from streaming.produce_queue import SEQUENCES
from streaming.producer import UNTOLD, ProduceFailed, Producer, Record, TimedOut
from tests.fakes import until
from tests.unit.streaming.fake_kafka import OLD_EPOCH, Answer, FakeKafka, all_of, batch_of, values

LIMIT_S = 10.0
STALE_AFTER_S = 0.4

NOT_LEADER, NOT_ENOUGH_REPLICAS, DUPLICATE, OUT_OF_ORDER, TOO_LARGE, NO_RIGHT = 6, 19, 46, 45, 10, 29

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Ages go by a clock of their own, which nobody may take for the loop's; what is called moves it on."""
    real, ahead_s = seconds_awake_or_not, 1_000.0

    def pass_by(seconds: float) -> None:
        nonlocal ahead_s
        ahead_s += seconds

    for module in (produce_queue, producer_module):
        monkeypatch.setattr(module, "seconds_awake_or_not", lambda: real() + ahead_s)
    return pass_by


@pytest.fixture
async def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka({"t": 4, "u": 4})
    monkeypatch.setattr(brokers, "AIOKafkaClient", fake)
    monkeypatch.setattr(produce_queue, "PAUSE_S", 0.01)
    monkeypatch.setattr(produce_queue, "LOOK_AGAIN_S", 0.01)
    return fake


@pytest.fixture
async def produced() -> list[tuple[str, int]]:
    return []


@pytest.fixture
async def producer(kafka: FakeKafka, produced: list[tuple[str, int]]) -> AsyncIterator[Producer]:
    one = Producer(
        "kafka:9092", on_produced=lambda *what: produced.append(what), stale_after_s=STALE_AFTER_S, gather_s=0.002
    )
    one.start()
    yield one
    await one.stop(timeout_s=0.1)


def to(partition: int, *texts: bytes, topic: str = "t") -> list[Record]:
    return [Record(topic, None, text, None, partition) for text in texts]


async def test_all_partitions_and_callers_share_a_request(
    kafka: FakeKafka, producer: Producer, produced: list[tuple[str, int]]
) -> None:
    offsets = await asyncio.gather(
        producer.send_all([*to(0, b"a"), *to(1, b"b"), *to(0, b"c")]),
        producer.send_all([*to(0, b"d"), *to(0, b"e", topic="u")]),
    )
    assert offsets[0] == {0: 1, 1: 0}
    assert kafka.values() == [{ZERO: [b"a", b"c", b"d"], ONE: [b"b"], TopicPartition("u", 0): [b"e"]}]
    assert sorted(produced) == [("t", 1), ("t", 3), ("u", 1)]


async def test_what_comes_while_a_request_is_under_way_goes_in_the_next(kafka: FakeKafka, producer: Producer) -> None:
    sendings = [asyncio.create_task(producer.send_all(to(0, b"first")))]
    await until(lambda: bool(kafka.requests))
    sendings += [asyncio.create_task(producer.send_all(to(0, b"%d" % number))) for number in range(5)]
    assert [await sending for sending in sendings] == [{0: number} for number in range(6)]
    assert kafka.values() == [{ZERO: [b"first"]}, {ZERO: [b"0", b"1", b"2", b"3", b"4"]}]


async def test_the_first_goes_at_once_and_those_soon_after_it_together(kafka: FakeKafka) -> None:
    gather_s = 0.3
    producer = Producer("kafka:9092", on_produced=lambda *_: None, gather_s=gather_s)
    producer.start()
    began = time.monotonic()
    await producer.send_all(to(0, b"first"))
    assert time.monotonic() - began < gather_s
    later = [asyncio.create_task(producer.send_all(to(0, b"second")))]
    await asyncio.sleep(gather_s / 10)
    later.append(asyncio.create_task(producer.send_all(to(1, b"third"))))
    await asyncio.gather(*later)
    assert time.monotonic() - began >= gather_s
    assert kafka.values() == [{ZERO: [b"first"]}, {ZERO: [b"second"], ONE: [b"third"]}]
    await producer.stop()


async def test_keys_and_headers_arrive(kafka: FakeKafka, producer: Producer) -> None:
    await producer.send_all([Record("t", b"key", None, [("name", b"value"), ("none", None)])])
    [(_, written)] = kafka.requests
    [raw] = written.values()
    [record] = batch_of(raw)
    assert (record.key, record.value, record.headers) == (b"key", None, [("name", b"value"), ("none", None)])


async def test_sequence_numbers_count_records_by_partition(kafka: FakeKafka, producer: Producer) -> None:
    for _ in range(3):
        await producer.send_all([*to(0, b"a", b"b"), *to(1, b"c")])
    heads = [{tp: batch_of(raw) for tp, raw in written.items()} for _, written in kafka.requests]
    assert [head[ZERO].base_sequence for head in heads] == [0, 2, 4]
    assert [head[ONE].base_sequence for head in heads] == [0, 1, 2]
    assert {batch.producer_id for head in heads for batch in head.values()} == {1}


@pytest.mark.parametrize(
    "trouble",
    [KafkaConnectionError("gone"), RequestTimedOutError(), all_of(NOT_ENOUGH_REPLICAS), all_of(NOT_LEADER)],
    ids=["connection", "no-answer", "replicas", "leader"],
)
async def test_what_may_have_arrived_goes_out_again_word_for_word(
    kafka: FakeKafka, producer: Producer, trouble: Exception
) -> None:
    """By its sequence number the broker knows it; what has come meanwhile goes behind it."""
    kafka.answers[1] = deque([trouble, trouble])
    first = asyncio.create_task(producer.send_all(to(0, b"first")))
    await until(lambda: bool(kafka.requests))
    second = asyncio.create_task(producer.send_all(to(0, b"second")))
    assert [await first, await second] == [{0: 0}, {0: 1}]
    raws = [written[ZERO] for _, written in kafka.requests]
    assert raws[0] == raws[1] == raws[2]
    assert [values(raw) for raw in raws[2:]] == [[b"first"], [b"second"]]
    assert kafka.ids == 1


async def test_what_a_broker_had_already_has_no_offset_that_is_known(kafka: FakeKafka, producer: Producer) -> None:
    def known(written: dict[TopicPartition, bytes]) -> dict[TopicPartition, int]:
        kafka.logs[ZERO].append(written[ZERO])
        return {ZERO: DUPLICATE}

    kafka.answers[1] = deque([known])
    assert await producer.send_all(to(0, b"a", b"b")) == {0: UNTOLD}
    assert await producer.send_all(to(0, b"c")) == {0: 2}


async def test_a_partition_that_has_moved_is_sent_to_its_new_leader(kafka: FakeKafka, producer: Producer) -> None:
    def moved(written: dict[TopicPartition, bytes]) -> dict[TopicPartition, int]:
        kafka.leaders[ZERO] = 2
        return dict.fromkeys(written, 0) | {ZERO: NOT_LEADER}

    kafka.answers[1] = deque([moved])
    assert await producer.send_all([*to(0, b"a"), *to(1, b"b")]) == {0: 0, 1: 0}
    assert [(broker, list(written)) for broker, written in kafka.requests] == [(1, [ZERO, ONE]), (2, [ZERO])]
    assert kafka.metadata_updates


async def test_a_partition_without_a_leader_waits_for_one(kafka: FakeKafka, producer: Producer) -> None:
    kafka.leaders[ZERO] = -1
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: kafka.metadata_updates > 1)
    kafka.leaders[ZERO] = 1
    assert await sending == {0: 0}


@pytest.mark.parametrize("how", ["unreachable", "silent"])
async def test_a_broker_that_is_away_holds_up_no_other(kafka: FakeKafka, producer: Producer, how: str) -> None:
    kafka.leaders[ONE] = 2
    getattr(kafka, how).add(2)
    waiting = asyncio.create_task(producer.send_all(to(1, b"b")))
    for number in range(3):
        assert await producer.send_all(to(0, b"a")) == {0: number}
    assert not waiting.done()
    waiting.cancel()


async def test_an_answer_that_leaves_a_partition_out_is_none_for_it(kafka: FakeKafka, producer: Producer) -> None:
    kafka.answers[1] = deque([lambda written: {ZERO: 0}])
    assert await producer.send_all([*to(0, b"a"), *to(1, b"b")]) == {0: 0, 1: 0}
    assert [list(written) for _, written in kafka.requests] == [[ZERO, ONE], [ONE]]


@pytest.mark.parametrize("code", [TOO_LARGE, NO_RIGHT, OUT_OF_ORDER])
async def test_what_a_broker_refuses_fails_and_its_numbers_are_not_missed(
    kafka: FakeKafka, producer: Producer, code: int
) -> None:
    """The partition's next batch would be out of order: it has a new epoch."""
    kafka.answers[1] = deque([lambda written: {ZERO: code, ONE: 0}])
    refused = asyncio.create_task(producer.send_all(to(0, b"a")))
    beside = asyncio.create_task(producer.send_all(to(1, b"b")))
    with pytest.raises(ProduceFailed, match="t-0: ") as failure:
        await refused
    assert not isinstance(failure.value, TimedOut)
    assert await beside == {1: 0}
    assert await producer.send_all([*to(0, b"c"), *to(1, b"d")]) == {0: 0, 1: 1}
    last = {tp: batch_of(raw) for tp, raw in kafka.requests[-1][1].items()}
    assert {tp: (head.producer_epoch, head.base_sequence) for tp, head in last.items()} == {ZERO: (1, 0), ONE: (0, 1)}


async def test_what_nobody_can_tell_about_times_out_and_its_partition_begins_a_new_epoch(
    kafka: FakeKafka, producer: Producer
) -> None:
    """Another's numbers go on, and if it comes after all, it is refused."""
    assert await producer.send_all([*to(0, b"a"), *to(1, b"a")]) == {0: 0, 1: 0}
    kafka.answers[1] = deque([KafkaConnectionError("gone")] * 1_000)
    with pytest.raises(TimedOut, match="gone"):
        await producer.send_all(to(0, b"b"))
    late = kafka.requests[-1][1][ZERO]
    kafka.answers[1].clear()
    assert await producer.send_all([*to(0, b"c"), *to(1, b"c")]) == {0: 1, 1: 1}
    heads = {tp: batch_of(raw) for tp, raw in kafka.requests[-1][1].items()}
    assert {tp: (head.producer_epoch, head.base_sequence) for tp, head in heads.items()} == {ZERO: (1, 0), ONE: (0, 1)}
    assert kafka.logs[ZERO].append(late) == (OLD_EPOCH, -1)
    assert kafka.ids == 1


async def test_what_was_taken_though_its_answer_was_lost_is_there_once(kafka: FakeKafka, producer: Producer) -> None:
    kafka.deaf = 2
    assert await producer.send_all(to(0, b"a", b"b")) == {0: 1}
    assert await producer.send_all(to(0, b"c")) == {0: 2}
    assert kafka.logs[ZERO].values == [b"a", b"b", b"c"]


async def test_what_has_not_been_sent_times_out_and_the_id_is_kept(kafka: FakeKafka, producer: Producer) -> None:
    kafka.unreachable.add(1)
    with pytest.raises(TimedOut, match="cannot be reached"):
        await producer.send_all(to(0, b"a"))
    kafka.unreachable.clear()
    assert await producer.send_all(to(0, b"b")) == {0: 0}
    assert kafka.values() == [{ZERO: [b"b"]}]
    assert kafka.ids == 1


@pytest.fixture
async def freeze(monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]) -> Callable[[], None]:
    """Time passes, and nothing else happens, as for a process that was stopped."""
    loop = asyncio.get_running_loop()
    now, lost = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: now() + lost, raising=False)

    def pass_by() -> None:
        nonlocal lost
        lost += STALE_AFTER_S
        clock(STALE_AFTER_S)

    return pass_by


@pytest.mark.parametrize("where", ["ready", "send", "partitions_for_topic", "leader_for_partition"])
async def test_what_was_frozen_on_its_way_is_not_written(
    kafka: FakeKafka, producer: Producer, freeze: Callable[[], None], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Wherever: while the broker is connected to, before it is written, or before its partition is known."""
    assert await producer.send_all(to(0, b"a")) == {0: 0}
    step = getattr(kafka, where)

    def frozen(*arguments: Any) -> Any:
        freeze()
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(kafka, where, frozen)
        with pytest.raises(TimedOut):
            await asyncio.wait_for(producer.send_all(to(0, b"b")), LIMIT_S)
    assert await producer.send_all(to(0, b"c")) == {0: 1}
    assert kafka.logs[ZERO].values == [b"a", b"c"]


async def test_what_joins_a_batch_does_not_wait_longer_for_it(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that has waited for room is as old as it is, whoever is in its batch."""
    kafka.unreachable.add(1)
    loop = asyncio.get_running_loop()
    young = asyncio.create_task(producer.send_all(to(0, b"young")))
    await asyncio.sleep(0)
    queue = producer._queue
    assert queue is not None
    [batch] = queue.add(ZERO, to(0, b"old"), 1, produce_queue.seconds_awake_or_not() - STALE_AFTER_S / 2)
    began = loop.time()
    with pytest.raises(TimedOut):
        await batch.settled
    assert loop.time() - began < 0.75 * STALE_AFTER_S
    with pytest.raises(TimedOut):
        await young


async def test_what_was_written_in_time_may_be_answered_late(kafka: FakeKafka, producer: Producer) -> None:
    kafka.answers_after_s = 1.5 * STALE_AFTER_S
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: bool(kafka.requests))
    behind = asyncio.create_task(producer.send_all(to(0, b"b")))
    beside = asyncio.create_task(producer.send_all(to(1, b"c")))
    with pytest.raises(TimedOut):
        await beside
    assert not sending.done(), "what is awaited is not given up with what has grown old"
    assert await sending == {0: 0}
    with pytest.raises(TimedOut):
        await behind
    assert kafka.logs[ZERO].values == [b"a"]


@pytest.mark.parametrize("where", ["ready", "send", "partitions_for_topic"])
async def test_time_in_which_the_machine_was_suspended_counts(
    kafka: FakeKafka, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The loop's clock stands still then, and the group has given the worker up."""
    producer = Producer("kafka:9092", on_produced=lambda *_: None, stale_after_s=LIMIT_S)
    producer.start()
    await producer.send_all(to(0, b"a"))
    step = getattr(kafka, where)

    def suspended(*arguments: Any) -> Any:
        clock(LIMIT_S)
        kafka.unknown_for = int(where == "partitions_for_topic")
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(kafka, where, suspended)
        async with asyncio.timeout(LIMIT_S / 2):
            with pytest.raises(TimedOut):
                await producer.send_all(to(0, b"late"))
    assert await producer.send_all(to(0, b"b")) == {0: 1}
    assert kafka.logs[ZERO].values == [b"a", b"b"]
    await producer.stop()


async def test_a_connection_that_is_gone_when_its_answer_is_missed_is_made_anew(
    kafka: FakeKafka, producer: Producer
) -> None:
    """aiokafka looks for it among those that it has."""
    kafka.answers[1] = deque([KeyError((1, ConnectionGroup.DEFAULT))])
    assert await producer.send_all(to(0, b"a")) == {0: 0}
    assert len(kafka.requests) == 2


async def test_what_else_is_not_found_is_a_bug(kafka: FakeKafka, producer: Producer) -> None:
    kafka.answers[1] = deque([KeyError("other")])
    with pytest.raises(ProduceFailed, match="KeyError: 'other'"):
        await producer.send_all(to(0, b"a"))


async def test_a_topic_that_is_not_there_holds_up_no_other(kafka: FakeKafka, producer: Producer) -> None:
    missed = asyncio.create_task(producer.send_all(to(0, b"a", topic="elsewhere")))
    await asyncio.sleep(0)
    assert await producer.send_all(to(0, b"a")) == {0: 0}
    assert not missed.done()
    with pytest.raises(TimedOut):
        await missed


async def test_a_topic_that_is_not_there_times_out(kafka: FakeKafka, producer: Producer) -> None:
    with pytest.raises(TimedOut, match="elsewhere"):
        await producer.send_all(to(0, b"a", topic="elsewhere"))
    kafka.partitions["elsewhere"] = 1
    assert await producer.send_all(to(0, b"a", topic="elsewhere")) == {0: 0}


async def test_kafka_may_come_after_the_producer(kafka: FakeKafka) -> None:
    kafka.is_up = False
    producer = Producer("kafka:9092", on_produced=lambda *_: None, stale_after_s=LIMIT_S, gather_s=0)
    producer.start()
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await asyncio.sleep(0.05)
    kafka.is_up = True
    assert await asyncio.wait_for(sending, LIMIT_S) == {0: 0}
    await producer.stop()


async def test_batches_that_are_full_follow_each_other(kafka: FakeKafka, producer: Producer) -> None:
    texts = [b"%d" % number * (BATCH_BYTES // 3) for number in range(8)]
    assert await producer.send_all(to(0, *texts)) == {0: 7}
    sent = [request[ZERO] for request in kafka.values()]
    assert [text for batch in sent for text in batch] == texts
    assert len(sent) == 4


async def test_a_record_that_is_larger_than_a_batch_goes_alone(kafka: FakeKafka, producer: Producer) -> None:
    texts = [b"small", bytes(2 * BATCH_BYTES), b"small too"]
    assert await producer.send_all(to(0, *texts)) == {0: 2}
    assert [request[ZERO] for request in kafka.values()] == [[text] for text in texts]


async def test_a_record_that_no_broker_takes_fails_at_once(kafka: FakeKafka, producer: Producer) -> None:
    with pytest.raises(ProduceFailed, match="too large"):
        await producer.send_all(to(0, bytes(17 << 20)))
    assert await producer.send_all(to(0, b"a")) == {0: 0}
    assert kafka.values() == [{ZERO: [b"a"]}]


async def test_while_too_much_waits_callers_wait_in_their_order(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(produce_queue, "MAX_WAITING_BYTES", 1_000)
    kafka.unreachable.add(1)
    sendings = [asyncio.create_task(producer.send_all(to(0, b"%d" % number + bytes(2_000)))) for number in range(5)]
    await asyncio.sleep(0.02)
    kafka.unreachable.clear()
    assert [await sending for sending in sendings] == [{0: number} for number in range(5)]
    assert [value[:1] for value in kafka.logs[ZERO].values] == [b"0", b"1", b"2", b"3", b"4"]
    assert len(kafka.requests) == 5


@pytest.mark.parametrize("topic", ["t", "u"])
async def test_who_comes_when_there_is_room_again_waits_behind_who_was_there(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    monkeypatch.setattr(produce_queue, "MAX_WAITING_BYTES", 1_000)
    monkeypatch.setattr(produce_queue, "LOOK_AGAIN_S", STALE_AFTER_S / 4)
    kafka.answers_after_s = STALE_AFTER_S / 8
    first = asyncio.create_task(producer.send_all(to(0, bytes(2_000))))
    await until(lambda: bool(kafka.requests))
    second = asyncio.create_task(producer.send_all(to(0, b"second")))
    await first
    third = asyncio.create_task(producer.send_all(to(0, b"third", topic=topic)))
    await asyncio.gather(second, third)
    sent = [text for request in kafka.values() for texts in request.values() for text in texts]
    assert sent[1:] == [b"second", b"third"]


async def test_while_a_topic_is_not_known_yet_callers_wait_in_their_order(kafka: FakeKafka, producer: Producer) -> None:
    kafka.unknown_for = 7
    await asyncio.gather(*[producer.send_all(to(0, b"%d" % number)) for number in range(5)])
    assert kafka.logs[ZERO].values == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_request_has_room_for_so_much(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(produce_queue, "MAX_REQUEST_BYTES", 5_000)
    await producer.send_all([one for partition in range(4) for one in to(partition, bytes(2_000))])
    assert [len(written) for _, written in kafka.requests] == [2, 2]


async def test_busy_partitions_leave_room_for_others(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two always has a full batch that waits, and a request has room for two of them."""
    monkeypatch.setattr(produce_queue, "MAX_REQUEST_BYTES", 5_000)
    monkeypatch.setattr(batch, "BATCH_BYTES", 2_500)
    kafka.answers_after_s = 0.005
    is_over = False

    async def feed(partition: int) -> None:
        while not is_over:
            await producer.send_all(to(partition, bytes(2_000)))

    busy = [asyncio.create_task(feed(partition)) for partition in (0, 1) for _ in range(4)]
    await until(lambda: len(kafka.requests) > 4)
    before = len(kafka.requests)
    await producer.send_all(to(3, bytes(2_000)))
    assert len(kafka.requests) - before < 10
    is_over = True
    await asyncio.gather(*busy)


async def test_a_record_that_is_none_ends_the_producer_and_not_what_others_have_sent(
    kafka: FakeKafka, producer: Producer
) -> None:
    """It shares a batch with what was sound, and how much of it had been taken nobody knows."""
    kafka.unreachable.add(1)
    sound = asyncio.create_task(producer.send_all(to(0, b"sound")))
    await asyncio.sleep(0)
    broken = Record("t", None, b"x", [("header", 5)], 0)  # type: ignore[list-item]
    with pytest.raises(ProduceFailed, match="TypeError"):
        await producer.send_all([*to(0, b"before it"), broken])
    with pytest.raises(ProduceFailed, match="TypeError"):
        await sound
    with pytest.raises(ProduceFailed, match="TypeError"):
        await producer.send_all(to(1, b"after it"))
    assert not kafka.requests


async def test_nothing_of_a_call_is_sent_where_one_record_is_too_large(kafka: FakeKafka, producer: Producer) -> None:
    with pytest.raises(ProduceFailed, match="too large"):
        await producer.send_all([*to(0, b"small"), *to(0, bytes(17 << 20))])
    await producer.stop(timeout_s=LIMIT_S)
    assert not kafka.requests


async def test_a_broker_has_one_request_at_a_time(kafka: FakeKafka, producer: Producer) -> None:
    kafka.answers_after_s = 0.005
    sendings = []
    for number in range(50):
        sendings.append(asyncio.create_task(producer.send_all(to(number % 4, b"a"))))
        await asyncio.sleep(0.001)
    await asyncio.gather(*sendings)
    assert kafka.most_at_once[1] == 1
    assert kafka.acks == {-1}, "all replicas"


async def test_a_leader_that_changes_while_a_batch_is_under_way_has_it_when_it_is_lost(
    kafka: FakeKafka, producer: Producer
) -> None:
    """Until then the new one has nothing of the partition, for what follows must not overtake."""
    kafka.answers_after_s = STALE_AFTER_S / 4
    kafka.answers[1] = deque([KafkaConnectionError("gone")])
    first = asyncio.create_task(producer.send_all(to(0, b"first")))
    await until(lambda: bool(kafka.requests))
    kafka.leaders[ZERO] = 2
    second = asyncio.create_task(producer.send_all(to(0, b"second")))
    assert [await first, await second] == [{0: 0}, {0: 1}]
    assert [broker for broker, _ in kafka.requests] == [1, 2, 2]
    assert kafka.logs[ZERO].values == [b"first", b"second"]


async def test_a_partition_that_cannot_take_it_yet_is_given_time(kafka: FakeKafka, producer: Producer) -> None:
    kafka.answers[1] = deque([all_of(NOT_ENOUGH_REPLICAS)] * 1_000)
    with pytest.raises(TimedOut, match="NotEnoughReplicas"):
        await producer.send_all(to(0, b"a"))
    # Each pause is twice the one before.
    assert 3 < len(kafka.requests) < 10


@pytest.mark.parametrize(
    "trouble", [KafkaConnectionError("gone"), all_of(NOT_ENOUGH_REPLICAS)], ids=["connection", "replicas"]
)
async def test_pauses_are_short_again_after_a_success(kafka: FakeKafka, trouble: Answer) -> None:
    producer = Producer("kafka:9092", on_produced=lambda *_: None, stale_after_s=LIMIT_S)
    producer.start()
    kafka.answers[1] = deque([trouble] * 6)
    began = time.monotonic()
    await producer.send_all(to(0, b"a"))
    pauses_s = time.monotonic() - began
    kafka.answers[1] = deque([trouble])
    began = time.monotonic()
    await producer.send_all(to(0, b"b"))
    # The next one would have been as long as all of them together.
    assert time.monotonic() - began < pauses_s / 2
    await producer.stop()


async def test_what_its_old_leader_may_still_take_is_not_sent_to_the_new_one_beside_it(
    kafka: FakeKafka, producer: Producer
) -> None:
    kafka.leaders[ONE] = 2
    kafka.answers_after_s = STALE_AFTER_S / 4
    first = asyncio.create_task(producer.send_all(to(0, b"first")))
    await until(lambda: bool(kafka.requests))
    kafka.leaders[ZERO] = 2
    second = asyncio.create_task(producer.send_all(to(1, b"second")))
    assert [await first, await second] == [{0: 0}, {1: 0}]
    assert kafka.values() == [{ZERO: [b"first"]}, {ONE: [b"second"]}]


async def test_a_partition_in_trouble_holds_up_no_other_of_its_broker(kafka: FakeKafka, producer: Producer) -> None:
    def one_of_them(written: dict[TopicPartition, bytes]) -> dict[TopicPartition, int]:
        return {tp: NOT_ENOUGH_REPLICAS if tp == ZERO else 0 for tp in written}

    kafka.answers[1] = deque([one_of_them] * 1_000)
    stuck = asyncio.create_task(producer.send_all(to(0, b"a")))
    began = time.monotonic()
    for number in range(10):
        assert await producer.send_all(to(1, b"b")) == {1: number}
    assert time.monotonic() - began < STALE_AFTER_S
    with pytest.raises(TimedOut, match="t-0: NotEnoughReplicasError"):
        await stuck


async def test_sequence_numbers_begin_again_after_the_last(kafka: FakeKafka, producer: Producer) -> None:
    await producer.send_all(to(0, b"a"))
    assert producer._queue is not None
    producer._queue._lines[ZERO].sequence = kafka.logs[ZERO].next = SEQUENCES - 1
    assert await producer.send_all(to(0, b"b", b"c")) == {0: 2}
    assert await producer.send_all(to(0, b"d")) == {0: 3}
    assert batch_of(kafka.requests[-1][1][ZERO]).base_sequence == 1


async def test_every_topic_is_asked_for_by_name(kafka: FakeKafka, producer: Producer) -> None:
    """aiokafka knows all topics until it is told of one, and then only those that it was told of."""
    await producer.send_all([*to(0, b"a"), *to(0, b"a", topic="u")])
    assert kafka.tracked == {"t", "u"}


async def test_the_order_is_kept_whether_a_key_or_its_caller_chose_the_partition(
    kafka: FakeKafka, producer: Producer
) -> None:
    [place] = partitions_of([b"key"], 4)
    records = [Record("t", b"key", b"%d" % number, None, -1 if number % 2 else place) for number in range(6)]
    await producer.send_all(records)
    assert kafka.logs[TopicPartition("t", place)].values == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_it_counts_what_was_acknowledged_when_it_was(
    kafka: FakeKafka, producer: Producer, produced: list[tuple[str, int]]
) -> None:
    kafka.silent.add(1)
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: bool(kafka.requests))
    assert not produced
    sending.cancel()


async def test_a_failure_that_will_not_pass_is_told_before_a_timeout(kafka: FakeKafka, producer: Producer) -> None:
    kafka.leaders[ONE] = 2
    kafka.unreachable.add(2)
    kafka.answers[1] = deque([all_of(NO_RIGHT)])
    with pytest.raises(ProduceFailed, match="TopicAuthorization") as failure:
        await producer.send_all([*to(1, b"b"), *to(0, b"a")])
    assert not isinstance(failure.value, TimedOut)


@pytest.mark.parametrize("where", ["leader_for_partition", "ready", "force_metadata_update"])
async def test_a_bug_wherever_it_is_is_heard_of(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    kafka.leaders[ONE] = -1
    monkeypatch.setattr(kafka, where, broken)
    with pytest.raises(ProduceFailed, match="ZeroDivisionError: a bug"):
        await asyncio.wait_for(producer.send_all([*to(0, b"a"), *to(1, b"b")]), LIMIT_S)


async def test_who_looks_after_the_leaders_must_not_die_unheard(kafka: FakeKafka, producer: Producer) -> None:
    await producer.send_all(to(0, b"a"))
    kafka._sync_task.set_exception(ZeroDivisionError("a bug"))
    await asyncio.sleep(0)
    with pytest.raises(ProduceFailed, match="ZeroDivisionError: a bug"):
        await producer.send_all(to(0, b"b"))


async def test_a_caller_that_went_away_is_no_reason_to_fail(kafka: FakeKafka, producer: Producer) -> None:
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await asyncio.sleep(0)
    sending.cancel()
    assert await producer.send_all(to(0, b"b")) == {0: 1}


async def test_a_bug_is_heard_of_by_everybody(
    kafka: FakeKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.answers[1] = deque([ZeroDivisionError("a bug")])
    with pytest.raises(ProduceFailed, match="ZeroDivisionError: a bug"):
        await producer.send_all(to(0, b"a"))
    with pytest.raises(ProduceFailed, match="ZeroDivisionError: a bug"):
        await producer.send_all(to(0, b"b"))


async def test_before_it_starts_and_after_it_stops_nothing_is_waited_for(kafka: FakeKafka) -> None:
    producer = Producer("kafka:9092", on_produced=lambda *_: None)
    assert await producer.send_all([]) == {}
    with pytest.raises(ProduceFailed, match="started"):
        await producer.send_all(to(0, b"a"))
    producer.start()
    await producer.stop(timeout_s=1)
    with pytest.raises(ProduceFailed, match="stopped"):
        await producer.send_all(to(0, b"a"))
    assert kafka.is_closed


async def test_its_connections_are_those_that_say_when_they_have_closed(
    kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else of the process has not begun yet."""
    monkeypatch.setattr(conn, "AIOKafkaConnection", AIOKafkaConnection)
    producer = Producer("kafka:9092", on_produced=lambda *_: None)
    producer.start()
    assert conn.AIOKafkaConnection is LiveConnection
    await producer.stop()


@pytest.mark.parametrize("trouble", [None, NO_RIGHT], ids=["no-broker", "no-right"])
async def test_without_an_id_it_asks_again(kafka: FakeKafka, trouble: int | None) -> None:
    kafka.id_troubles += [trouble, trouble]
    producer = Producer("kafka:9092", on_produced=lambda *_: None)
    producer.start()
    assert await producer.send_all(to(0, b"a")) == {0: 0}
    assert not kafka.id_troubles
    assert batch_of(kafka.requests[0][1][ZERO]).producer_id == 1
    await producer.stop()


async def test_what_is_left_when_it_stops_is_not_written_any_further(kafka: FakeKafka, producer: Producer) -> None:
    reasons: list[CloseReason] = []
    kafka._conns[1] = SimpleNamespace(close=lambda reason: reasons.append(reason))
    kafka.silent.add(1)
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: bool(kafka.requests))
    await producer.stop(timeout_s=0.05)
    assert reasons == [CloseReason.CONNECTION_TIMEOUT]
    with pytest.raises(ProduceFailed, match="stopped"):
        await sending


async def test_who_breaks_off_its_stop_has_stopped_it(kafka: FakeKafka, producer: Producer) -> None:
    kafka.silent.add(1)
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: bool(kafka.requests))
    stopping = asyncio.create_task(producer.stop(timeout_s=LIMIT_S))
    await asyncio.sleep(0)
    stopping.cancel()
    async with asyncio.timeout(LIMIT_S / 2):
        with pytest.raises(ProduceFailed, match="stopped"):
            await sending
        await until(lambda: kafka.is_closed)


async def test_it_stops_when_what_is_under_way_has_ended(kafka: FakeKafka, producer: Producer) -> None:
    sending = asyncio.create_task(producer.send_all([*to(0, b"a"), *to(1, b"b")]))
    await asyncio.sleep(0)
    await producer.stop(timeout_s=LIMIT_S)
    assert await sending == {0: 0, 1: 0}


async def test_whoever_waits_when_it_stops_hears_that_it_failed(kafka: FakeKafka, producer: Producer) -> None:
    kafka.silent.add(1)
    sending = asyncio.create_task(producer.send_all(to(0, b"a")))
    await until(lambda: bool(kafka.requests))
    await producer.stop(timeout_s=0.05)
    with pytest.raises(ProduceFailed, match="stopped"):
        await sending


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, BATCH_BYTES // 3)), max_size=8), max_size=8))
def test_whatever_is_sent_each_partition_has_it_in_order(calls: list[list[tuple[int, int]]]) -> None:
    async def run(patch: pytest.MonkeyPatch) -> None:
        kafka = FakeKafka({"t": 4})
        patch.setattr(brokers, "AIOKafkaClient", kafka)
        producer = Producer("kafka:9092", on_produced=lambda *_: None, gather_s=0)
        producer.start()
        numbered = iter(range(1_000))
        sent = [
            [Record("t", None, b"%d/" % next(numbered) + bytes(size), None, at) for at, size in call] for call in calls
        ]
        offsets = await asyncio.gather(*map(producer.send_all, sent))
        await producer.stop()
        for partition in range(4):
            tp = TopicPartition("t", partition)
            wanted = [one.value for call in sent for one in call if one.partition == partition]
            assert [value for request in kafka.values() for value in request.get(tp, [])] == wanted
            at = -1
            for call, told in zip(sent, offsets, strict=True):
                at += sum(one.partition == partition for one in call)
                assert told.get(partition, at) == at

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run(patch))


async def test_a_batch_is_the_same_however_often_it_is_written() -> None:
    batch = Batch(0.0)
    assert batch.take(to(0, b"a", b"b"), 1) == 2
    batch.close(7, 1, 5)
    head = batch_of(bytes(batch.written))
    assert (head.producer_id, head.producer_epoch, head.base_sequence) == (7, 1, 5)
    assert values(bytes(batch.written)) == [b"a", b"b"]


@given(st.lists(st.tuples(st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=2_000)), min_size=1))
def test_a_batch_can_be_read_whether_compression_is_worth_it_or_not(pairs: list[tuple[bytes, bytes]]) -> None:
    async def written() -> bytes:
        batch = Batch(0.0)
        assert batch.take([Record("t", key, value, None, 0) for key, value in pairs], 1) == len(pairs)
        batch.close(7, 1, 5)
        return bytes(batch.written)

    batch = batch_of(asyncio.run(written()))
    assert batch.validate_crc()
    assert [(record.key, record.value) for record in batch] == pairs


async def test_what_is_alike_is_compressed() -> None:
    batch = Batch(0.0)
    batch.take(to(0, *[b"the same as before" * 10] * 100), 1)
    batch.close(7, 1, 5)
    assert len(batch.written) < batch.bytes / 5
    assert batch_of(bytes(batch.written)).compression_type == DefaultRecordBatch.CODEC_LZ4
