"""How far may the front of the dead-letter topic be deleted? Kafka deletes up to an offset, and nothing in between.

Each partition is deleted up to the first record that must stay:

    a dead letter   that is not older than asked for
    a dead letter   that nobody has dealt with (neither replayed nor parked), unless those may go, too
    a mark          whose subject has a dead letter that stays: without it, that one would count as never replayed

The last rule makes partitions depend on each other: what stays in one may keep a mark in another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.deadletters import Place
from pipeline.dlq_marks import NOTHING, Histories, Mark, histories


class Stop(StrEnum):
    """Why a partition is not deleted further."""

    YOUNG = "not old enough"
    OPEN = "neither replayed nor parked"
    MARK = "a mark of a dead letter that stays"


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionPurge:
    """Records below ``upto`` go; ``letters`` counts the dead letters among them by reason, ``still_open`` those of them
    that nobody has dealt with. ``stop`` is None where nothing must stay.
    """

    partition: int
    start: int
    upto: int
    letters: Counter[str]
    still_open: int
    staying: int
    stop: Stop | None

    @property
    def deletes(self) -> bool:
        return self.upto > self.start


def plan_purge(
    letters: Iterable[Place],
    marks: Sequence[Mark],
    bounds: Mapping[int, tuple[int, int]],
    *,
    before_ms: int,
    open_too: bool,
) -> list[PartitionPurge]:
    """``bounds`` are the first offset of each partition and that after its last; by partition."""
    done = histories(marks)
    by_partition: dict[int, list[Place]] = defaultdict(list)
    for letter in sorted(letters, key=lambda one: one.offset):
        by_partition[letter.partition].append(letter)
    stops = {
        partition: _first_to_stay(by_partition[partition], end, done, before_ms=before_ms, open_too=open_too)
        for partition, (_, end) in bounds.items()
    }
    _keep_marks(stops, by_partition, marks)
    return [
        _purge_of(partition, bounds[partition][0], *stops[partition], by_partition[partition], done)
        for partition in sorted(bounds)
    ]


def _first_to_stay(
    letters: Sequence[Place], end: int, done: Histories, *, before_ms: int, open_too: bool
) -> tuple[int, Stop | None]:
    for letter in letters:
        if letter.at_ms >= before_ms:
            return letter.offset, Stop.YOUNG
        if not open_too and done.get(letter.subject, NOTHING).is_open:
            return letter.offset, Stop.OPEN
    return end, None


def _keep_marks(
    stops: dict[int, tuple[int, Stop | None]], letters: Mapping[int, Sequence[Place]], marks: Sequence[Mark]
) -> None:
    """Move ``stops`` towards the front until no mark is deleted before the last dead letter of its subject."""
    while True:
        staying = {
            one.subject for partition, some in letters.items() for one in some if one.offset >= stops[partition][0]
        }
        kept = [one for one in marks if one.subject in staying and one.offset < stops[one.partition][0]]
        if not kept:
            return
        for mark in sorted(kept, key=lambda one: one.offset, reverse=True):
            stops[mark.partition] = (mark.offset, Stop.MARK)


def _purge_of(
    partition: int, start: int, upto: int, stop: Stop | None, letters: Sequence[Place], done: Histories
) -> PartitionPurge:
    gone = [one for one in letters if one.offset < upto]
    return PartitionPurge(
        partition=partition,
        start=start,
        upto=upto,
        letters=Counter(one.reason or "unknown" for one in gone),
        still_open=sum(done.get(one.subject, NOTHING).is_open for one in gone),
        staying=len(letters) - len(gone),
        stop=stop,
    )
