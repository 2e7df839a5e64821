"""What did the plain application lose, and tell twice? Counted from what feeder, provider and Postgres remember."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulators.ledger import Entry, Result
from tests.chaos.published import Kind, Line, Told

# The provider honours keys: what it calls a repeat would have been told once more by one that does not.
TOLD = frozenset({Result.ACCEPTED, Result.REPEAT})


@dataclass(frozen=True, kw_only=True)
class Tally:
    """``events`` that the broker acknowledged; the others count notifications that those must become.

    ``lost`` were told to no provider and have no row; ``given_up`` were not told, and a row says so. ``unrecorded``
    were told and have no row. ``told_twice`` reached the provider more than once, ``again`` times together.
    """

    events: int
    owed: int
    lost: int
    given_up: int
    unrecorded: int
    told_twice: int
    again: int

    @property
    def is_whole(self) -> bool:
        return not (self.lost or self.unrecorded)


def owed_ids(lines: Iterable[Line]) -> tuple[int, set[str]]:
    """How many events were acknowledged, and the ids of the notifications that they must become."""
    known = list(lines)
    followers = {line.shipment: line.recipients for line in known if line.kind is Kind.SUBSCRIPTION}
    events = [line for line in known if line.kind is Kind.EVENT and line.told is Told.OK]
    return len(events), {f"{line.id}:{one}" for line in events for one in followers[line.shipment]}


def tally(lines: Iterable[Line], entries: Iterable[Entry], rows: Mapping[str, str]) -> Tally:
    """``rows`` are the statuses in Postgres by notification."""
    events, owed = owed_ids(lines)
    told = Counter(entry.id for entry in entries if entry.result in TOLD)
    return Tally(
        events=events,
        owed=len(owed),
        lost=sum(id not in told and id not in rows for id in owed),
        given_up=sum(id not in told and id in rows for id in owed),
        unrecorded=sum(id in told and id not in rows for id in owed),
        told_twice=sum(times > 1 for times in told.values()),
        again=sum(times - 1 for times in told.values()),
    )
