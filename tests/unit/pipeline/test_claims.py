"""The claims of a partition, under crashes at any point: nothing done is sent again, no doubt is lost."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from pipeline.claims import MOST_WINDOWS, PartitionClaims, Ranges, joined, merged, to_offsets, to_ranges

offsets = st.sets(st.integers(0, 10**12), max_size=50)


@given(offsets)
def test_ranges_hold_exactly_their_offsets(some: set[int]) -> None:
    ranges = to_ranges(some)
    assert to_offsets(ranges) == some
    assert all(this[1] + 1 < following[0] for this, following in itertools.pairwise(ranges))


def test_neighbours_become_one_range() -> None:
    assert to_ranges([7, 3, 5, 4]) == [(3, 5), (7, 7)]
    assert to_ranges([]) == []


@given(st.lists(offsets, max_size=5))
def test_ranges_that_touch_become_one(some: list[set[int]]) -> None:
    together = joined(span for one in some for span in to_ranges(one))
    assert together == to_ranges(set().union(*some))


def test_what_calls_finish_one_after_the_other_is_one_range() -> None:
    """Between two commits there are hundreds of calls, and each of them writes the row twice."""
    claims = PartitionClaims()
    calls = [claims.claim(range(first, first + 100), 0) for first in range(0, 10_000, 100)]
    for ranges in calls[::-1]:
        claims.finish(ranges)
    assert claims.row(0, 0) == b'{"claimed":[],"done":[[0,9999]],"windows":[]}'


def test_what_a_crash_leaves_behind() -> None:
    claims = PartitionClaims()
    claims.claim([1, 2], 0)
    claims.finish(claims.claim([3, 4], 0))
    after = PartitionClaims([claims.row(1, 0)])
    assert (after.in_doubt, after.done_before) == ({1, 2}, {3, 4})


def test_below_the_committed_offset_nothing_stays() -> None:
    claims = PartitionClaims()
    claims.finish(claims.claim(range(10), 0))
    assert PartitionClaims([claims.row(7, 0)]).done_before == {7, 8, 9}
    assert claims.row(10, 0) == b'{"claimed":[],"done":[],"windows":[]}'


def test_a_second_crash_keeps_the_first_ones_doubt() -> None:
    """Whoever took over wrote other rows, and died before it came to the record."""
    first = PartitionClaims()
    first.claim([5], 0)
    second = PartitionClaims([first.row(5, 0)])
    second.finish(second.claim([6], 0))
    third = PartitionClaims([second.row(5, 0)])
    assert (third.in_doubt, third.done_before) == ({5}, {6})


def test_a_worker_that_always_dies_at_the_same_record_does_not_make_the_row_grow() -> None:
    rows: list[bytes] = []
    sizes = set()
    for _ in range(5):
        claims = PartitionClaims(rows)
        claims.claim([2, 4], 0)
        rows = [claims.row(0, 0)]
        sizes.add(len(rows[0]))
    assert len(sizes) <= 2, "the first life's, and those of all that follow"


def test_what_is_in_doubt_says_when_it_was_under_way() -> None:
    """The windows of crash after crash, each from the oldest claim to the last word; none where nothing is in doubt."""
    first = PartitionClaims()
    first.claim([1], 10_000)
    first.finish(first.claim([2], 20_000))
    second = PartitionClaims([first.row(0, 30_000)])
    assert second.windows == [(10_000, 30_000)]
    second.claim([1, 3], 90_000)
    third = PartitionClaims([second.row(0, 95_000)])
    assert third.windows == [(10_000, 30_000), (90_000, 95_000)]
    third.finish(third.claim([1, 3], 100_000))
    assert PartitionClaims([third.row(0, 110_000)]).windows == []


def test_a_row_that_came_late_revives_no_doubt() -> None:
    """All of it has been committed since."""
    frozen = PartitionClaims()
    frozen.claim([5, 6], 1_000)
    claims = PartitionClaims([frozen.row(0, 2_000)], committed=7)
    assert (claims.in_doubt, claims.done_before, claims.windows) == (set(), set(), [])


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)).map(sorted).map(tuple), max_size=40))
def test_windows_stay_few_and_cover_what_they_covered(windows: list[tuple[int, int]]) -> None:
    few = merged(windows)
    assert len(few) <= MOST_WINDOWS
    assert all(any(begin <= low and high <= end for begin, end in few) for low, high in windows)
    assert all(this[1] < following[0] for this, following in itertools.pairwise(few))


def test_a_new_partition_knows_nothing() -> None:
    assert (PartitionClaims().in_doubt, PartitionClaims().done_before) == (set(), set())


def test_what_was_certainly_not_told_is_given_up_and_not_done() -> None:
    claims = PartitionClaims()
    claims.finish(claims.claim([1, 2, 3, 4], 0), again=[2, 3])
    after = PartitionClaims([claims.row(0, 0)])
    assert (after.in_doubt, after.done_before) == (set(), {1, 4})


def test_an_owner_of_before_that_writes_late_hides_nothing() -> None:
    """It was frozen in the middle of a call, and everything has been finished by somebody else since."""
    frozen = PartitionClaims()
    frozen.claim([1, 2], 0)
    late = frozen.row(0, 0)
    owner = PartitionClaims([late])
    owner.finish(owner.claim([1], 0))
    owner.claim([3], 0)
    for rows in ([late, owner.row(0, 0)], [owner.row(0, 0), late]):
        after = PartitionClaims(rows)
        assert (after.in_doubt, after.done_before) == ({2, 3}, {1})


class Claims(RuleBasedStateMachine):
    """A worker reads a partition on from what is committed; a crash leaves what is durable, and no more.

    A worker of before may have been frozen rather than killed: its last row can arrive at any time.
    """

    calls = Bundle("calls")

    @initialize()
    def start(self) -> None:
        self.claims = PartitionClaims()
        self.rows: dict[int, bytes] = {}
        self.late: tuple[int, bytes] | None = None
        self.committed = self.durably_committed = 0
        self.next = 0
        self.life = 0
        # What the world knows: which offsets a call may have told, and which have durable effects.
        self.may_be_told: set[int] = set()
        self.done: set[int] = set()
        self.written_done: set[int] = set()

    @rule(target=calls, count=st.integers(1, 5), skip=st.sampled_from([1, 2]))
    def claim(self, count: int, skip: int) -> tuple[int, set[int], Ranges]:
        wanted = range(self.next, self.next + count * skip, skip)
        mine = {offset for offset in wanted if offset not in self.claims.done_before}
        self.next = wanted.stop
        # What is passed over by the stride went another way, say as a dead letter.
        self.done |= set(range(wanted.start, wanted.stop)) - set(wanted) | (set(wanted) & self.claims.done_before)
        for offset in mine:
            assert offset not in self.written_done, "done, and sent again"
            assert offset not in self.may_be_told or offset in self.claims.in_doubt, "told before, and nobody knows"
        ranges = self.claims.claim(mine, 0)
        self._write()
        self.may_be_told |= mine
        return self.life, mine, ranges

    @rule(call=consumes(calls))
    def finish(self, call: tuple[int, set[int], Ranges]) -> None:
        life, mine, ranges = call
        if life == self.life:
            self.claims.finish(ranges)
            self._write()
            self.done |= mine
            self.written_done |= mine

    @rule(durable=st.booleans())
    def commit(self, durable: bool) -> None:
        """Up to the first offset that is not done; the broker may learn of it later than the row, or not at all."""
        while self.committed < self.next and self.committed in self.done:
            self.committed += 1
        if durable:
            self.durably_committed = self.committed

    @rule(frozen=st.booleans())
    def crash(self, frozen: bool) -> None:
        if frozen and self.life in self.rows:
            self.late = (self.life, self.rows[self.life])
        self.claims = PartitionClaims(self.rows.values())
        self.next = self.committed = self.durably_committed
        self.done = {offset for offset in self.done if offset < self.next or offset in self.claims.done_before}
        self.life += 1

    @precondition(lambda self: self.late is not None)
    @rule()
    def write_late(self) -> None:
        assert self.late is not None
        life, row = self.late
        self.rows[life] = row
        self.late = None

    def _write(self) -> None:
        if self.life not in self.rows:
            self.rows.clear()
        self.rows[self.life] = self.claims.row(self.durably_committed, 0)

    @invariant()
    def doubt_covers_all_that_is_unfinished(self) -> None:
        after = PartitionClaims(self.rows.values())
        unread = {offset for offset in self.may_be_told if offset >= self.durably_committed}
        assert unread <= after.in_doubt | after.done_before
        assert {offset for offset in self.written_done if offset >= self.durably_committed} <= after.done_before

    @invariant()
    def the_row_is_bounded_by_what_is_in_flight(self) -> None:
        row = self.claims.row(self.durably_committed, 0)
        after = PartitionClaims([row])
        assert all(offset >= self.durably_committed for offset in after.in_doubt | after.done_before)
        in_flight = max(self.may_be_told, default=0) + 1 - self.durably_committed
        longest_span = len(b"[9999,9999],")
        assert len(row) <= len(b'{"claimed":[],"done":[],"windows":[[0,0]]}') + 3 * max(0, in_flight) * longest_span


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
