"""What does the checker say of a scenario? Figures, and whatever breaks a promise, each with its evidence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.notifications import Channel


class Breach(StrEnum):
    """Which promise was broken."""

    LOST = "lost"
    UNFINISHED = "unfinished"
    NOT_REFUSED = "not refused"
    UNCAUSED = "outcome without a cause"
    UNCAUSED_TELLING = "told without a cause"
    MISNAMED = "under another's id"
    DISAGREEMENT = "topic and Postgres disagree"
    CONTRADICTION = "a later word contradicts"
    NOT_TOLD = "sent, but no provider accepted it"
    DENIED = "told, but its outcome says not"
    DUPLICATE = "told again"
    EARLY = "attempted early"
    SPENT_ATTEMPT = "an attempt spent on an open circuit"
    TOO_MANY_PROBES = "called on an open circuit"
    UNCOMMITTED = "not committed to the end"
    UNEXPLAINED_LETTER = "a dead letter without reason or origin"
    MISSING_LETTER = "no dead letter"
    LETTER_WITHOUT_OUTCOME = "a dead letter, but no outcome"


class Stage(StrEnum):
    """Where something was lost: behind the last party that remembers it."""

    BROKER = "broker"
    ENRICH = "enrich"
    LANE = "lane"
    SEND = "send"
    RETRY = "retry"
    SINK = "sink"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """``id`` is a notification's, the feeder's own of a document, or coordinates."""

    breach: Breach
    id: str
    evidence: str
    stage: Stage | None = None

    def __str__(self) -> str:
        where = f" at {self.stage}" if self.stage else ""
        return f"{self.breach}{where}: {self.id}: {self.evidence}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``events`` and ``poisons`` are those that the pipeline owes an account of: the broker took them, or shows them.

    ``unknown`` documents were not acknowledged, ``unknown_arrived`` of them arrived all the same. ``told_twice`` counts
    tellings beyond the first, ``bound`` how many the faults allow; ``honoured`` are repeats that a provider recognised.
    ``early_in_doubt`` attempts were early within a fault's interval. ``words_repeated`` counts words on the outcome
    topic beyond the first.
    """

    events: int
    poisons: int
    unknown: int
    unknown_arrived: int
    notifications: int
    ended: int
    statuses: Mapping[str, int]
    told_twice: Mapping[Channel, int]
    bound: Mapping[Channel, int]
    honoured: Mapping[Channel, int]
    early_in_doubt: int
    words_repeated: int
    dead_letters: int
    violations: Sequence[Violation]

    @property
    def ok(self) -> bool:
        return not self.violations

    @property
    def breaches(self) -> Counter[Breach]:
        return Counter(one.breach for one in self.violations)

    @property
    def lost(self) -> int:
        return self.breaches[Breach.LOST]

    @property
    def unfinished(self) -> int:
        return self.breaches[Breach.UNFINISHED]

    @property
    def unaccounted(self) -> int:
        """Lost, or not ended yet."""
        return self.lost + self.unfinished

    @property
    def early(self) -> int:
        return self.breaches[Breach.EARLY]

    @property
    def duplicates(self) -> int:
        return sum(self.told_twice.values())

    def __str__(self) -> str:
        told_twice = " ".join(f"{channel} {count}/{self.bound[channel]}" for channel, count in self.told_twice.items())
        lines = [
            f"events {self.events} (unknown {self.unknown}, of which {self.unknown_arrived} arrived), "
            f"poisons {self.poisons}, dead letters {self.dead_letters}",
            f"notifications {self.notifications}, ended {self.ended}, lost {self.lost}, unfinished {self.unfinished}",
            f"told twice, of at most: {told_twice}; early {self.early}, in doubt {self.early_in_doubt}; "
            f"words repeated {self.words_repeated}",
        ]
        lines += [f"  {count} x {breach}" for breach, count in self.breaches.items()]
        return "\n".join(lines)
