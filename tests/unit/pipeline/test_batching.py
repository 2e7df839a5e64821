"""Batches: nothing lost or sent twice, no key in two calls; at once when idle, within the linger when not."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from pipeline.batching import BatchPolicy, Item, LaneQueue

POLICY = BatchPolicy(messages=3, size_bytes=100, linger_s=2.0)

Batch = list[Item[int]]


def item(value: int, key: str | None = None, size: int = 1, at: float = 0.0) -> Item[int]:
    return Item(key or f"key-{value}", size, at, value)


def queue_of(*items: Item[int], policy: BatchPolicy = POLICY) -> LaneQueue[int]:
    queue: LaneQueue[int] = LaneQueue(policy)
    for one in items:
        queue.push(one)
    return queue


def values(batch: Batch) -> list[int]:
    return [one.value for one in batch]


class Queue(RuleBasedStateMachine):
    """Pushes, calls and revoked partitions in any order, against lists that only grow."""

    calls = Bundle("calls")

    @initialize(
        messages=st.integers(1, 4),
        size_bytes=st.integers(1, 12),
        linger_s=st.sampled_from([0.0, 1.0, 3.0]),
    )
    def start(self, messages: int, size_bytes: int, linger_s: float) -> None:
        self.policy = BatchPolicy(messages=messages, size_bytes=size_bytes, linger_s=linger_s)
        self.queue: LaneQueue[int] = LaneQueue(self.policy)
        self.now = 0.0
        self.pushed: dict[str, list[int]] = defaultdict(list)
        self.taken: dict[str, list[int]] = defaultdict(list)
        self.waiting: dict[int, Item[int]] = {}
        self.under_way: list[Batch] = []
        self.unsettled = 0
        self.last = 0

    @rule(key=st.sampled_from("abcd"), size=st.integers(0, 15))
    def push(self, key: str, size: int) -> None:
        self.last += 1
        one = Item(key, size, self.now, self.last)
        self.pushed[key].append(one.value)
        self.waiting[one.value] = one
        self.queue.push(one)

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=calls, most=st.sampled_from([None, 1]))
    def take(self, most: int | None) -> Batch:
        batch = self.queue.take(most)
        assert len(batch) <= (most or self.policy.messages)
        assert len(batch) <= 1 or sum(one.size for one in batch) <= self.policy.size_bytes
        keys = {one.key for one in batch}
        for other in self.under_way:
            assert not keys & {one.key for one in other}, "a key in two calls at once"
        for one in batch:
            assert self.waiting.pop(one.value) is one, "invented, or sent twice"
            self.taken[str(one.key)].append(one.value)
        if batch:
            self.under_way.append(batch)
        else:
            busy = {one.key for other in self.under_way for one in other}
            assert all(one.key in busy for one in self.waiting.values()), "what could go did not"
        return batch

    @rule(batch=consumes(calls), not_told=st.sets(st.sampled_from("abcd")))
    def release(self, batch: Batch, not_told: set[str]) -> None:
        if batch:
            self.under_way = [one for one in self.under_way if one is not batch]
            again = [one for one in batch if one.key in not_told]
            for one in again:
                self.waiting[one.value] = one
                self.taken[str(one.key)].remove(one.value)
            self.queue.release(batch, again)
            self.unsettled += 1

    @precondition(lambda self: self.unsettled)
    @rule()
    def settle(self) -> None:
        self.queue.settle()
        self.unsettled -= 1

    @rule()
    def partitions_are_gone(self) -> None:
        self.queue.clear()
        for one in self.waiting.values():
            self.pushed[str(one.key)].remove(one.value)
        self.waiting.clear()

    @precondition(lambda self: not self.under_way)
    @rule()
    def everything_goes_in_the_end(self) -> None:
        while batch := self.queue.take():
            for one in batch:
                assert self.waiting.pop(one.value) is one
                self.taken[str(one.key)].append(one.value)
            self.queue.release(batch)
            self.queue.settle()
        assert not self.waiting, "lost"

    @invariant()
    def each_key_keeps_its_order(self) -> None:
        for key, sent in self.taken.items():
            assert sent == self.pushed[key][: len(sent)]

    @invariant()
    def calls_are_counted(self) -> None:
        assert self.queue.calls == len(self.under_way) + self.unsettled

    @invariant()
    def what_could_go_is_due_in_time(self) -> None:
        due_in = self.queue.due_in(self.now)
        if due_in is None:
            busy = {one.key for other in self.under_way for one in other}
            assert all(one.key in busy for one in self.waiting.values()), "forgotten"
        else:
            assert self.waiting
            assert 0 <= due_in <= self.policy.linger_s
            assert due_in == 0 or self.queue.calls, "waited for company without load"
            assert due_in == 0 or len(self.queue) < self.policy.messages, "full, and waited"


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_without_load_nothing_waits() -> None:
    assert queue_of(item(1)).due_in(0.0) == 0


def test_under_load_the_oldest_waits_for_the_linger() -> None:
    queue = queue_of(item(1, at=10.0))
    queue.take()
    queue.push(item(2, at=11.0))
    queue.push(item(3, at=12.0))
    assert queue.due_in(12.0) == 1.0
    assert queue.due_in(13.0) == 0
    assert queue.due_in(99.0) == 0


def test_a_full_batch_waits_for_nothing() -> None:
    by_count = queue_of(item(1))
    by_count.take()
    by_size = queue_of(item(1))
    by_size.take()
    for value in (2, 3, 4):
        by_count.push(item(value))
    by_size.push(item(2, size=100))
    assert by_count.due_in(0.0) == 0
    assert by_size.due_in(0.0) == 0


def test_an_empty_queue_is_never_due() -> None:
    assert queue_of().due_in(0.0) is None
    assert queue_of().take() == []


def test_one_too_large_goes_alone() -> None:
    queue = queue_of(item(1, size=500), item(2))
    assert values(queue.take()) == [1]


def test_a_batch_ends_before_the_one_that_does_not_fit() -> None:
    queue = queue_of(item(1, size=60), item(2, size=60), item(3, size=1))
    assert values(queue.take()) == [1]
    assert values(queue.take()) == [2, 3]


def test_messages_of_one_key_share_a_batch_in_order() -> None:
    assert values(queue_of(item(1, "a"), item(2, "a"), item(3, "b")).take()) == [1, 2, 3]


def test_what_waits_behind_its_key_lets_others_pass_and_comes_first_afterwards() -> None:
    queue = queue_of(item(1, "a", at=1.0))
    call = queue.take()
    for one in (item(2, "a", at=2.0), item(3, "b", at=3.0), item(4, "a", at=4.0), item(5, "c", at=5.0)):
        queue.push(one)
    assert values(queue.take()) == [3, 5]
    assert queue.due_in(9.0) is None
    queue.push(item(6, "d", at=6.0))
    queue.release(call)
    assert values(queue.take()) == [2, 4, 6]


def test_a_call_that_outlives_its_partitions_holds_its_keys_and_no_more() -> None:
    """The same records come back while the call is still under way: they wait for it, and go once."""
    queue = queue_of(item(1, "a"), item(2, "b"))
    call = queue.take()
    queue.push(item(3, "a"))
    queue.take()
    queue.clear()
    queue.push(item(1, "a"))
    queue.push(item(3, "a"))
    assert queue.take() == []
    queue.release(call)
    queue.settle()
    assert values(queue.take()) == [1, 3]
    assert queue.calls == 1
