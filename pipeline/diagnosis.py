"""What is wrong, and what is to be done about it? Facts in, findings out; every threshold stands here.

A check that finds nothing makes one finding that says so; one that finds something makes one for each thing. A warning
is for the morning; something wrong is why somebody was called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.circuit import CIRCUIT_STATES, CircuitState
from pipeline.deadletter_reasons import OURS
from pipeline.halting import HaltCause
from pipeline.symptoms import (
    DeadLetterFacts,
    GroupFacts,
    LagFacts,
    LostFacts,
    PartitionFacts,
    TierFacts,
    TopicFacts,
    WorkerFacts,
)

# Those that the alert rules have, too, are the same there: doctor and Prometheus must not contradict each other.
URGENT_OLDEST_S = 60.0
OLDEST_S = 900.0
LAG_RECORDS = 10_000
OVERDUE_S = 60.0
STUCK_S = 60.0
DEAD_LETTERS_IN_AN_HOUR = 40
# From given up to stored: what is on its way for longer than the retries last, and this, will not come.
UNACCOUNTED_GRACE_S = 3_600.0
# For as long as a dead letter can be told again, and some more: what was lost before has been wrong for weeks.
ACCOUNT_DAYS = 45
# Half of what `herald retention` makes: it has not been run for a week.
PARTITIONS_END_S = 7 * 86_400.0
STRAYS_COUNTED = 10_000
DISK_LOW, DISK_FULL = 0.10, 0.02

CIRCUITS = dict(enumerate(CIRCUIT_STATES))
HALTED = {
    HaltCause.DEAD_LETTERS: "find the cause in herald dlq list and put it right; then {restart}",
    HaltCause.RECORDS_LOST: "before it is started again: docs/operations.md, Kafka has lost records",
}


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the diagnosis: ``figure`` is how much, ``advice`` what to do; both may be empty."""

    level: Level
    check: str
    what: str
    figure: str = ""
    advice: str = ""


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Warnings do not make it ill."""
    return all(one.level is not Level.WRONG for one in findings)


def judge_topics(topics: Sequence[TopicFacts], partitions: int) -> list[Finding]:
    found = []
    if missing := [one.name for one in topics if not one.partitions]:
        found.append(_wrong("topics", f"missing: {', '.join(missing)}", str(len(missing)), "herald topics create"))
    for one in topics:
        if one.partitions not in (0, partitions):
            figure = f"{one.partitions}, not {partitions}"
            found.append(
                _wrong("topics", f"partitions of {one.name}", figure, "HERALD_PARTITIONS must be what is there")
            )
        if one.misfits:
            advice = "herald topics create --alter"
            found.append(Finding(Level.WARNING, "topics", f"settings of {one.name}", "; ".join(one.misfits), advice))
    bring = "bring the brokers that are missing back"
    found += _counted(topics, "without_leader", Level.WRONG, "partitions without a leader: nothing is written", bring)
    found += _counted(topics, "below_min_isr", Level.WRONG, "partitions below min.insync: nothing is written", bring)
    found += _counted(topics, "under_replicated", Level.WARNING, "partitions with fewer replicas in sync", bring)
    return found or [_ok("topics", "are as they should be", str(len(topics)))]


def _counted(topics: Sequence[TopicFacts], field: str, level: Level, what: str, advice: str) -> list[Finding]:
    hit = {one.name: count for one in topics if (count := getattr(one, field))}
    return (
        [Finding(level, "topics", f"{what}: {', '.join(sorted(hit))}", str(sum(hit.values())), advice)] if hit else []
    )


def judge_groups(groups: Sequence[GroupFacts]) -> list[Finding]:
    found = []
    for one in groups:
        if not one.members:
            level = Level.WRONG if one.needed else Level.WARNING
            found.append(
                Finding(level, "groups", f"no worker of {one.role}", one.state, f"start it: --role {one.role}")
            )
        elif one.state != "stable":
            advice = "look again in a minute; a worker that comes and goes has a reason in its log"
            found.append(Finding(Level.WARNING, "groups", f"{one.role} is not settled", one.state, advice))
    return found or [_ok("groups", "every role has workers", f"{sum(one.members for one in groups)} workers")]


def judge_lags(group: str, lags: Sequence[LagFacts]) -> list[Finding]:
    """``lags`` of that group alone."""
    found = []
    for one in lags:
        limit_s = URGENT_OLDEST_S if one.urgent else OLDEST_S
        what, figure = f"{group} on {one.topic}", f"{one.records} records"
        if one.oldest_s is None:
            advice = "its oldest record could not be read in time: look again"
            found.append(Finding(Level.WARNING, "lag", what, figure, advice))
        elif one.oldest_s > limit_s:
            advice = "it stands still or is too slow: see the log of its workers, and add some"
            found.append(_wrong("lag", what, f"{figure}, oldest {duration(one.oldest_s)}", advice))
        elif one.records > LAG_RECORDS:
            found.append(Finding(Level.WARNING, "lag", what, figure, "add workers of that role, up to one a partition"))
    return found or [_not_behind(group, lags)]


def _not_behind(group: str, lags: Sequence[LagFacts]) -> Finding:
    """What waits is not late yet; whether somebody takes it up is not said by it."""
    if not lags:
        return _ok("lag", f"{group} keeps up", "0 records")
    records, oldest_s = sum(one.records for one in lags), max(one.oldest_s or 0.0 for one in lags)
    return _ok("lag", f"records wait for {group}", f"{records} records, oldest {duration(oldest_s)}")


def judge_offsets(lost: Sequence[LostFacts], groups: int) -> list[Finding]:
    advice = "Kafka has lost records and the worker halts: see 'Kafka has lost records' in docs/operations.md"
    found = [
        _wrong(
            "offsets",
            f"{one.group} is beyond the end of {one.topic}-{one.partition}",
            f"committed {one.committed}, ends at {one.end}",
            advice,
        )
        for one in lost
    ]
    return found or [_ok("offsets", "no group is beyond the end", f"{groups} groups")]


def judge_tiers(tiers: Sequence[TierFacts]) -> list[Finding]:
    late = [one for one in tiers if one.overdue_s is not None and one.overdue_s > OVERDUE_S]
    advice = "see whether a worker of retry runs, and what its log says"
    found = [
        _wrong(
            "retries",
            f"the tier {one.tier} is late",
            f"{one.waiting} wait, {duration(one.overdue_s or 0)} late",
            advice,
        )
        for one in late
    ]
    return found or [_ok("retries", "none is late", f"{sum(one.waiting for one in tiers)} wait")]


def judge_dead_letters(facts: DeadLetterFacts) -> list[Finding]:
    found = []
    hour = facts.hour.total()
    if ours := {reason: count for reason, count in facts.day.items() if count and reason in OURS}:
        what = f"our own fault in 24 h: {_reasons(ours)}"
        advice = "herald dlq list --since 24h; replay after the fix; for a template, publish a later revision"
        found.append(_wrong("dead letters", what, str(sum(ours.values())), advice))
    if hour > DEAD_LETTERS_IN_AN_HOUR:
        what, advice = f"in the last hour: {_reasons(facts.hour)}", "herald dlq list --since 1h --not-replayed"
        found.append(Finding(Level.WARNING, "dead letters", what, str(hour), advice))
    figure = f"{hour} in 1 h, {facts.day.total()} in 24 h, {facts.kept.total()} open, {facts.parked} parked"
    return found or [_ok("dead letters", _reasons(facts.day) or "none in 24 h", figure)]


def judge_account(count: int, oldest_s: float, retry_total_s: float) -> list[Finding]:
    if oldest_s > retry_total_s + UNACCOUNTED_GRACE_S:
        what, figure = f"notifications of {ACCOUNT_DAYS} days without an end", f"{count}, oldest {duration(oldest_s)}"
        advice = "without lag or late retries above, it is a loss: SELECT * FROM unaccounted_notification"
        return [_wrong("account", what, figure, advice)]
    oldest = f", oldest {duration(oldest_s)}" if count else ""
    return [_ok("account", f"notifications of {ACCOUNT_DAYS} days on their way", f"{count}{oldest}")]


def judge_schema(wanted: Sequence[str], applied: Sequence[str]) -> list[Finding]:
    if missing := [one for one in wanted if one not in applied]:
        return [_wrong("schema", f"lacks {', '.join(missing)}", f"{len(missing)} changesets", "herald migrate")]
    if newer := [one for one in applied if one not in wanted]:
        advice = "run the version of herald that brought them"
        return [
            Finding(Level.WARNING, "schema", f"is newer than this version: {', '.join(newer)}", str(len(newer)), advice)
        ]
    return [_ok("schema", "is up to date", wanted[-1])]


def judge_partitions(tables: Sequence[PartitionFacts]) -> list[Finding]:
    found = []
    for one in tables:
        if one.ahead_s < PARTITIONS_END_S:
            what = (
                f"{one.table} has no partition for the days to come" if one.ahead_s else f"{one.table} has none for now"
            )
            figure = f"end in {duration(one.ahead_s)}" if one.ahead_s else ""
            found.append(Finding(Level.WARNING, "partitions", what, figure, "herald retention, once a day"))
        if one.strays:
            figure = f"{'over ' if one.strays > STRAYS_COUNTED else ''}{min(one.strays, STRAYS_COUNTED)}"
            advice = "herald retention; what it leaves there has a timestamp that its publisher made up"
            found.append(Finding(Level.WARNING, "partitions", f"rows in {one.table}_default", figure, advice))
    ahead_s = min((one.ahead_s for one in tables), default=0.0)
    return found or [_ok("partitions", "are made ahead", duration(ahead_s))]


def judge_disk(path: str, free_bytes: int, total_bytes: int) -> list[Finding]:
    part = free_bytes / total_bytes
    level = Level.WRONG if part < DISK_FULL else Level.WARNING if part < DISK_LOW else Level.OK
    figure = f"{free_bytes / (1 << 30):.1f} GiB free, {part:.0%}"
    return [Finding(level, "disk", path, figure, "" if level is Level.OK else "make room: tables grow with their keys")]


def judge_worker(facts: WorkerFacts) -> list[Finding]:
    found = []
    if facts.unready:
        found.append(_wrong(facts.name, f"is not ready: {'; '.join(facts.unready)}", "", "see its log if that lasts"))
    for (channel, provider), state in sorted(facts.circuits.items()):
        if state:
            level = Level.WRONG if CIRCUITS.get(state) is CircuitState.OPEN else Level.WARNING
            advice = "the provider is down: its messages wait and lose nothing; ask the provider"
            found.append(
                Finding(level, facts.name, f"circuit of {provider} ({channel})", CIRCUITS.get(state, "?"), advice)
            )
    for cause in facts.halted:
        restart = f"kill -TERM {facts.pid}: its supervisor starts it again" if facts.pid else "restart it"
        found.append(_wrong(facts.name, "has halted", cause, HALTED[cause].format(restart=restart)))
    if facts.stuck_s > STUCK_S:
        advice = "its watchdog ends it at HERALD_STUCK_TIMEOUT_S; if this comes back, read its last logs"
        found.append(_wrong(facts.name, "has work and makes no progress", duration(facts.stuck_s), advice))
    return found or [_ok(facts.name, "is ready")]


def duration(seconds: float) -> str:
    """Two units at most: an operator compares, and does not calculate."""
    whole = round(max(seconds, 0))
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason or 'unknown'}" for reason, count in sorted(counts.items()))


def _ok(check: str, what: str, figure: str = "") -> Finding:
    return Finding(Level.OK, check, what, figure)


def _wrong(check: str, what: str, figure: str, advice: str) -> Finding:
    return Finding(Level.WRONG, check, what, figure, advice)
