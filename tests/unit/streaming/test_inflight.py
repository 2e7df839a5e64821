"""The account of what is in flight: nothing unfinished is ever committed over, windows neither leak nor go below 0."""

import asyncio

import pytest
from faust.types.tuples import TP
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from streaming.inflight import WINDOW_BYTES, Fetch, InFlight
from tests.fakes import T0_MS, Consumed

URGENT, BULK = "urgent", "bulk"
TPS = [TP(topic, partition) for topic in (URGENT, BULK) for partition in (0, 1)]
LIMIT = 5
# By name, for hypothesis writes down what it tries.
VALUES = {"none": None, "empty": b"", "small": b"small", "large": bytes(WINDOW_BYTES // 4)}


def records(tp: TP, first: int, count: int, stride: int = 1, value: bytes | None = b"") -> list[Consumed]:
    return [
        Consumed(tp.topic, tp.partition, offset, None, value) for offset in range(first, first + count * stride, stride)
    ]


class Account(RuleBasedStateMachine):
    """Fetches finish in any order and in pieces; partitions are taken away in between."""

    pieces = Bundle("pieces")

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = InFlight()
        self.in_flight.share_window([URGENT], LIMIT)
        self.in_flight.share_window([BULK], LIMIT)
        self.next = dict.fromkeys(TPS, 0)
        self.unfinished: dict[TP, set[int]] = {tp: set() for tp in TPS}
        self.held: list[tuple[Fetch, int]] = []
        self.life = 0

    @rule(
        target=pieces,
        tp=st.sampled_from(TPS),
        counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        size=st.sampled_from(list(VALUES)),
    )
    def arrive(self, tp: TP, counts: list[int], size: str) -> object:
        """A fetch, that will finish in pieces of so many; a transaction marker took every other offset."""
        value = VALUES[size]
        fetched = records(tp, self.next[tp], sum(counts), stride=2, value=value)
        self.next[tp] = fetched[-1].offset + 1
        offsets = [record.offset for record in fetched]
        self.unfinished[tp].update(offsets)
        fetch = self.in_flight.admit(tp, fetched)
        self.held.append((fetch, sum(counts) * len(value or b"")))
        pieces = []
        for count in counts:
            mine, offsets = offsets[:count], offsets[count:]
            pieces.append((self.life, fetch, mine))
        return multiple(*pieces)

    @rule(piece=consumes(pieces))
    def finish(self, piece: tuple[int, Fetch, list[int]]) -> None:
        life, fetch, offsets = piece
        before = dict(self.in_flight.watermarks())
        self.in_flight.room.clear()
        self.in_flight.finish(fetch, len(offsets))
        if life != self.life:
            assert self.in_flight.watermarks() == before, "what finished too late counted"
            assert not self.in_flight.room.is_set()
        else:
            self.unfinished[fetch.tp] -= set(offsets)
            assert self.in_flight.room.is_set()

    @rule()
    def partitions_are_gone(self) -> None:
        self.in_flight.clear()
        for tp in TPS:
            self.unfinished[tp].clear()
        self.held.clear()
        self.life += 1

    @invariant()
    def nothing_unfinished_is_committed_over(self) -> None:
        for tp, watermark in self.in_flight.watermarks().items():
            assert all(offset >= watermark for offset in self.unfinished[tp])
            assert watermark <= self.next[tp]
            if not self.unfinished[tp]:
                assert watermark == self.next[tp], "what is finished is not committed"

    @invariant()
    def windows_hold_what_is_unfinished(self) -> None:
        for topic in (URGENT, BULK):
            used = sum(len(offsets) for tp, offsets in self.unfinished.items() if tp.topic == topic)
            assert self.in_flight.records([topic]) == used
            held = sum(size for fetch, size in self.held if fetch.tp.topic == topic and fetch.remaining)
            assert self.in_flight.has_room(topic) == (used < LIMIT and held < WINDOW_BYTES)
        assert self.in_flight.records() == sum(map(len, self.unfinished.values()))

    @invariant()
    def heads_are_the_oldest(self) -> None:
        ages = self.in_flight.ages(T0_MS)
        assert {tp for tp, offsets in self.unfinished.items() if offsets} == ages.keys()
        assert all(age >= 0 for age in ages.values())


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)

HERE = TP(BULK, 0)


def in_flight() -> InFlight:
    account = InFlight()
    account.share_window([URGENT, BULK], LIMIT)
    return account


def test_a_later_fetch_waits_for_the_one_before_it() -> None:
    account = in_flight()
    first, second = account.admit(HERE, records(HERE, 10, 2)), account.admit(HERE, records(HERE, 12, 2))
    account.finish(second, 2)
    assert account.watermarks() == {}
    account.finish(first, 1)
    assert account.watermarks() == {}
    account.finish(first, 1)
    assert account.watermarks() == {HERE: 14}


def test_partitions_do_not_wait_for_each_other() -> None:
    account = in_flight()
    account.admit(HERE, records(HERE, 0, 2))
    there = TP(BULK, 1)
    account.finish(account.admit(there, records(there, 0, 2)), 2)
    assert account.watermarks() == {there: 2}


def test_topics_that_share_a_window_share_it() -> None:
    account = in_flight()
    account.admit(HERE, records(HERE, 0, LIMIT))
    assert not account.has_room(URGENT)
    assert account.records() == account.records([URGENT, BULK]) == LIMIT


def test_a_window_is_full_of_few_large_records_until_their_fetch_has_finished() -> None:
    account = in_flight()
    small = account.admit(HERE, records(HERE, 0, 1))
    half = b"x" * (WINDOW_BYTES // 2)
    large = account.admit(HERE, [Consumed(*HERE, offset, None, half) for offset in (1, 2)])
    assert not account.has_room(URGENT)
    account.finish(small, 1)
    account.finish(large, 1)
    assert not account.has_room(URGENT), "one of them still holds the answer that both came in"
    account.finish(large, 1)
    assert account.has_room(URGENT)


def test_a_key_takes_room_too() -> None:
    account = in_flight()
    account.admit(HERE, [Consumed(*HERE, 0, b"x" * WINDOW_BYTES, None)])
    assert not account.has_room(BULK)


def test_large_records_of_partitions_that_are_gone_take_no_room() -> None:
    account = in_flight()
    stale = account.admit(HERE, [Consumed(*HERE, 0, None, b"x" * WINDOW_BYTES)])
    account.clear()
    assert account.has_room(BULK)
    account.admit(HERE, [Consumed(*HERE, 0, None, b"x" * WINDOW_BYTES)])
    account.finish(stale, 1)
    assert not account.has_room(BULK)


def test_what_has_finished_is_let_go_of_behind_what_has_not() -> None:
    account = in_flight()
    first, second = account.admit(HERE, records(HERE, 0, 2)), account.admit(HERE, records(HERE, 2, 2))
    account.finish(second, 2)
    assert (len(first.records), len(second.records)) == (2, 0)
    account.finish(first, 2)
    assert account.watermarks() == {HERE: 4}


def test_a_topic_without_a_window_always_has_room() -> None:
    account = in_flight()
    assert account.has_room("a-changelog")
    assert (account.is_batched(BULK), account.is_batched("a-changelog")) == (True, False)


def test_the_age_of_a_head_counts_from_when_it_was_produced() -> None:
    account = in_flight()
    first = account.admit(HERE, [Consumed(*HERE, 0, None, b"", timestamp=T0_MS - 7_000)])
    account.admit(HERE, [Consumed(*HERE, 1, None, b"", timestamp=T0_MS - 4_000)])
    assert account.ages(T0_MS) == {HERE: 7.0}
    account.finish(first, 1)
    assert account.ages(T0_MS) == {HERE: 4.0}
    assert account.ages(T0_MS - 60_000) == {HERE: 0.0}, "a clock that is behind the broker's"


def test_finishing_more_than_arrived_is_a_bug_and_says_so() -> None:
    account = in_flight()
    fetch = account.admit(HERE, records(HERE, 0, 2))
    with pytest.raises(AssertionError, match="more records finished than arrived"):
        account.finish(fetch, 3)


def test_a_stale_finish_changes_nothing_for_the_partitions_new_life() -> None:
    account = in_flight()
    stale = account.admit(HERE, records(HERE, 0, 3))
    account.finish(stale, 1)
    account.clear()
    fresh = account.admit(HERE, records(HERE, 0, 3))
    account.finish(stale, 2)
    assert (stale.live, fresh.live) == (False, True)
    assert (account.watermarks(), account.records()) == ({}, 3)


async def test_room_wakes_whoever_waits_for_it() -> None:
    account = in_flight()
    fetch = account.admit(HERE, records(HERE, 0, LIMIT))
    waiting = asyncio.create_task(account.room.wait())
    await asyncio.sleep(0)
    account.finish(fetch, 1)
    assert await asyncio.wait_for(waiting, 1)
    assert account.has_room(BULK)
