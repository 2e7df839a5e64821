"""What went stale in the queue is sent again only by a worker that its group still counts in."""

import pytest

from streaming.engine import Drained
from streaming.member import BYTES_AT_ONCE, RECORDS_AT_ONCE, MembersProducer, stale_after
from streaming.producer import ProduceFailed, Record, TimedOut
from tests.fakes import Out

RECORDS = [Record("topic", b"key", b"value")]


class Away:
    """A producer whose broker does not answer the first ``failures`` times."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[Record] = []
        self.calls = 0

    async def send_all(self, records: list[Record]) -> dict[int, int]:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.sent += records
        return {0: len(self.sent) - 1}


async def still_in() -> None:
    pass


async def given_up() -> None:
    raise Drained


async def test_a_member_sends_again_what_its_broker_did_not_take() -> None:
    producer = Away(TimedOut("silence"), TimedOut("silence"))
    assert await MembersProducer(producer, still_in, lambda: 1).send_all(RECORDS) == {0: 0}  # type: ignore[arg-type]
    assert producer.sent == RECORDS


async def test_who_is_no_member_any_more_writes_nothing() -> None:
    producer = Away(TimedOut("silence"))
    with pytest.raises(Drained):
        await MembersProducer(producer, given_up, lambda: 1).send_all(RECORDS)  # type: ignore[arg-type]
    assert producer.sent == []


async def test_it_does_not_try_for_ever() -> None:
    producer = Away(*[TimedOut("silence")] * 1_000_000)
    with pytest.raises(TimedOut):
        await MembersProducer(producer, still_in, lambda: 1, give_up_s=0.05).send_all(RECORDS)  # type: ignore[arg-type]


async def test_what_the_broker_refuses_is_not_sent_again() -> None:
    producer = Away(ProduceFailed("too large"))
    with pytest.raises(ProduceFailed, match="too large"):
        await MembersProducer(producer, still_in, lambda: 1).send_all(RECORDS)  # type: ignore[arg-type]


async def test_who_was_frozen_while_it_made_its_records_hands_none_over() -> None:
    out = Out()
    with pytest.raises(Drained):
        await MembersProducer(out, given_up, lambda: 1).send_all(RECORDS)
    assert out.records == []


async def test_between_two_parts_the_partitions_may_go() -> None:
    out = Out()
    many = [Record("topic", None, b"%d" % number) for number in range(2 * RECORDS_AT_ONCE)]
    numbers = iter([1, 1, 2])
    with pytest.raises(Drained):
        await MembersProducer(out, still_in, lambda: next(numbers)).send_all(many)
    assert out.records == many[:RECORDS_AT_ONCE]


def test_a_record_goes_stale_before_the_group_gives_its_worker_up() -> None:
    """Its last heartbeat may be an interval old when it freezes: a second, or a third of a short session."""
    for session_timeout_s in (1.5, 6.0, 10.0, 45.0):
        assert stale_after(session_timeout_s) < session_timeout_s - min(1.0, session_timeout_s / 3)


async def test_a_new_assignment_is_not_the_one_that_it_was_sent_under() -> None:
    """Whoever has the partitions now decides what is in doubt, though this worker is a member again."""
    numbers = iter([1, 1, 2])
    producer = Away(TimedOut("silence"))
    with pytest.raises(Drained):
        await MembersProducer(producer, still_in, lambda: next(numbers)).send_all(RECORDS)  # type: ignore[arg-type]
    assert producer.sent == []


async def test_only_the_part_that_went_stale_is_sent_again() -> None:
    many = [Record("topic", None, b"%d" % number) for number in range(2 * RECORDS_AT_ONCE + 1)]
    producer = Away()
    sink = MembersProducer(producer, still_in, lambda: 1)  # type: ignore[arg-type]
    assert await sink.send_all(many) == {0: len(many) - 1}
    assert (producer.sent, producer.calls) == (many, 3)
    large = [Record("topic", None, bytes(BYTES_AT_ONCE))] * 3
    await sink.send_all(large)
    assert producer.calls == 6
