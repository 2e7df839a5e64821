"""What does `herald doctor` look at? The facts that `pipeline.diagnosis` judges."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.deadletters import Place
from pipeline.dlq_marks import NOTHING, Histories
from pipeline.halting import HaltCause

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """``partitions`` is 0 where there is no such topic; the others count partitions.

    ``misfits`` says of each setting that does not serve what it is and what it should be.
    """

    name: str
    partitions: int
    without_leader: int = 0
    under_replicated: int = 0
    below_min_isr: int = 0
    misfits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """``state`` is Kafka's word; ``needed`` says that somebody has set the role up; ``instances`` are the
    ``HERALD_INSTANCE_ID``s of its members, of those that have one.
    """

    role: str
    members: int
    state: str
    needed: bool = True
    instances: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LagFacts:
    """``oldest_s`` is the age of the oldest record that is not committed; None where it could not be read in time."""

    topic: str
    records: int
    oldest_s: float | None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class LostFacts:
    """A partition of which ``group`` has ``committed`` more than there is."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """``ahead_s`` is for how long rows of a table find their partition; ``strays`` are in the default one."""

    table: str
    ahead_s: float
    strays: int


@dataclass(frozen=True, slots=True)
class TierFacts:
    """``overdue_s`` is how late the latest head is, negative where none is due yet; None where nothing is known."""

    tier: str
    waiting: int
    overdue_s: float | None


@dataclass(frozen=True, slots=True)
class DeadLetterFacts:
    """By reason, the open ones alone: of the last hour, of the last day, of all the days that are kept."""

    hour: Counter[str]
    day: Counter[str]
    kept: Counter[str]
    parked: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerFacts:
    """``unready`` are its own complaints; ``circuits`` are states by channel and provider; ``halted`` says what for;
    ``pid`` is known of workers on this machine.
    """

    name: str
    unready: tuple[str, ...] = ()
    circuits: Mapping[tuple[str, str], int]
    halted: Sequence[HaltCause] = ()
    stuck_s: float = 0.0
    pid: int | None = None


def dead_letter_facts(letters: Iterable[Place], done: Histories, now_ms: int) -> DeadLetterFacts:
    facts = DeadLetterFacts(Counter(), Counter(), Counter(), parked=0)
    parked = 0
    for letter in letters:
        history = done.get(letter.subject, NOTHING)
        parked += history.parked is not None
        if history.is_open:
            facts.kept[letter.reason] += 1
            facts.day[letter.reason] += letter.at_ms > now_ms - DAY_MS
            facts.hour[letter.reason] += letter.at_ms > now_ms - HOUR_MS
    return replace(facts, parked=parked)


def tier_facts(tier: str, waiting: int, due_ms: Iterable[int], now_ms: int) -> TierFacts:
    """``due_ms`` are the times at the heads of the tier's partitions."""
    soonest_ms = min(due_ms, default=None)
    return TierFacts(tier, waiting, None if soonest_ms is None else (now_ms - soonest_ms) / 1000)
