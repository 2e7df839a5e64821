"""What have operators done with a dead letter? The marks behind it in ``herald.dlq.v1`` say.

A mark is a record without bytes, in the partition of its dead letter and behind it, so that it outlives it:

    replayed   its subject has had another try, for the so manieth time
    parked     its subject is left alone on purpose: it is neither listed nor replayed unless asked for
    unparked   it is to be dealt with again

The last one tells the state, so that a replay ends a parking.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline import trail as trails
from pipeline.trail import HeaderList, Trail

SUBJECT = trails.PREFIX + "subject"
BY = trails.PREFIX + "by"
WHY = trails.PREFIX + "why"


class Act(StrEnum):
    REPLAYED = "replayed"
    PARKED = "parked"
    UNPARKED = "unparked"

    @property
    def header(self) -> str:
        """Holds the id of the dead letter."""
        return trails.PREFIX + self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """``replay`` counts from 1 and is 0 for other acts, as ``target`` is empty; ``by`` is an operator's login."""

    act: Act
    dead_letter: str
    subject: str
    replay: int = 0
    target: str = ""
    by: str = ""
    why: str = ""
    partition: int = 0
    offset: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What was done with one subject, the oldest first."""

    marks: tuple[Mark, ...] = ()

    @property
    def replays(self) -> int:
        return max((mark.replay for mark in self.marks), default=0)

    @property
    def parked(self) -> Mark | None:
        """The mark that parks it now."""
        return self.marks[-1] if self.marks and self.marks[-1].act is Act.PARKED else None

    @property
    def is_open(self) -> bool:
        """Nobody has dealt with it yet."""
        return not self.replays and self.parked is None


Histories = Mapping[str, History]

NOTHING = History()


def histories(marks: Iterable[Mark]) -> dict[str, History]:
    """By subject; what nothing was done with is not among them."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        found[mark.subject].append(mark)
    return {subject: History(tuple(sorted(some, key=_order))) for subject, some in found.items()}


def _order(mark: Mark) -> tuple[int, int, int]:
    return (mark.at_ms, mark.partition, mark.offset)


def read(
    headers: Sequence[tuple[str, bytes | None]], trail: Trail, partition: int, offset: int, at_ms: int
) -> Mark | None:
    """None for what is no mark. Never raises."""
    for act in Act:
        dead_letter = trails.header(headers, act.header)
        if dead_letter is not None:
            return Mark(
                act=act,
                dead_letter=dead_letter,
                subject=trails.header(headers, SUBJECT) or "",
                replay=max(trail.replay, 1) if act is Act.REPLAYED else 0,
                target=trail.target,
                by=trails.header(headers, BY) or "",
                why=trails.header(headers, WHY) or "",
                partition=partition,
                offset=offset,
                at_ms=at_ms,
            )
    return None


def headers(mark: Mark) -> HeaderList:
    """Texts are cut to what `read` takes."""
    texts = [(name, text) for name, text in ((BY, mark.by), (WHY, mark.why)) if text]
    return [
        (mark.act.header, mark.dead_letter.encode()),
        (SUBJECT, mark.subject.encode()),
        *((name, trails.cut(text)) for name, text in texts),
        *trails.write(Trail(replay=mark.replay, target=mark.target)),
    ]
