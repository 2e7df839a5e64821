"""Each thing that can be wrong is called by its name, and what is not wrong wakes nobody."""

from collections import Counter

import pytest

from pipeline import diagnosis
from pipeline.diagnosis import (
    DEAD_LETTERS_IN_AN_HOUR,
    LAG_RECORDS,
    OLDEST_S,
    OVERDUE_S,
    STRAYS_COUNTED,
    STUCK_S,
    UNACCOUNTED_GRACE_S,
    URGENT_OLDEST_S,
    Finding,
    Level,
    duration,
    is_healthy,
)
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

OK, WARNING, WRONG = Level.OK, Level.WARNING, Level.WRONG
DAY_S = 86_400.0


def levels(findings: list[Finding]) -> list[Level]:
    assert all(one.advice for one in findings if one.level is not OK), "whoever is called is told what to do"
    return [one.level for one in findings]


@pytest.mark.parametrize(
    ("topic", "level", "said"),
    [
        (TopicFacts("t", 4), OK, "as they should be"),
        (TopicFacts("t", 0), WRONG, "missing: t"),
        (TopicFacts("t", 3), WRONG, "partitions of t"),
        (TopicFacts("t", 4, without_leader=1), WRONG, "without a leader"),
        (TopicFacts("t", 4, below_min_isr=2), WRONG, "below min.insync"),
        (TopicFacts("t", 4, under_replicated=2), WARNING, "fewer replicas"),
        (TopicFacts("t", 4, misfits=("retention.ms is 1, not 2",)), WARNING, "settings of t"),
    ],
)
def test_topics(topic: TopicFacts, level: Level, said: str) -> None:
    found = diagnosis.judge_topics([topic, TopicFacts("other", 4)], 4)
    assert levels(found) == [level]
    assert said in found[0].what
    assert "other" not in found[0].what


@pytest.mark.parametrize(
    ("group", "level"),
    [
        (GroupFacts("sink", 2, "stable"), OK),
        (GroupFacts("sink", 0, "empty"), WRONG),
        (GroupFacts("sink", 0, "dead"), WRONG),  # Kafka's word for a group that it has never heard of
        (GroupFacts("send-push", 0, "dead", needed=False), WARNING),
        (GroupFacts("sink", 2, "preparing rebalancing"), WARNING),
    ],
)
def test_groups(group: GroupFacts, level: Level) -> None:
    assert levels(diagnosis.judge_groups([group, GroupFacts("retry", 1, "stable")])) == [level]


@pytest.mark.parametrize(
    ("lag", "level"),
    [
        (LagFacts("t", 5, OLDEST_S), OK),
        (LagFacts("t", 5, OLDEST_S + 1), WRONG),
        (LagFacts("t", 5, URGENT_OLDEST_S, urgent=True), OK),
        (LagFacts("t", 5, URGENT_OLDEST_S + 1, urgent=True), WRONG),
        (LagFacts("t", LAG_RECORDS, 1.0), OK),
        (LagFacts("t", LAG_RECORDS + 1, 1.0), WARNING),
        (LagFacts("t", 5, None), WARNING),
    ],
)
def test_lag(lag: LagFacts, level: Level) -> None:
    found = diagnosis.judge_lags("herald-sink", [lag, LagFacts("other", 1, 0.5)])
    assert levels(found) == [level]
    assert "herald-sink" in found[0].what


def test_a_group_without_lag_keeps_up() -> None:
    assert diagnosis.judge_lags("herald-sink", []) == [Finding(OK, "lag", "herald-sink keeps up", "0 records")]


def test_a_group_with_work_is_not_said_to_keep_up() -> None:
    """It may have halted a minute ago."""
    lags = [LagFacts("t", 1_050, 61.0), LagFacts("other", 1, 0.5)]
    assert diagnosis.judge_lags("herald-sink", lags) == [
        Finding(OK, "lag", "records wait for herald-sink", "1051 records, oldest 1 min 1 s")
    ]


def test_a_group_beyond_the_end_of_a_partition_is_wrong() -> None:
    assert diagnosis.judge_offsets([], 6) == [Finding(OK, "offsets", "no group is beyond the end", "6 groups")]
    (found,) = diagnosis.judge_offsets([LostFacts("herald-sink", "t", 2, committed=7, end=3)], 6)
    assert (found.level, found.figure) == (WRONG, "committed 7, ends at 3")
    assert found.what == "herald-sink is beyond the end of t-2"


@pytest.mark.parametrize(("overdue_s", "level"), [(None, OK), (-20.0, OK), (OVERDUE_S, OK), (OVERDUE_S + 1, WRONG)])
def test_retries_wait_and_are_not_late(overdue_s: float | None, level: Level) -> None:
    assert levels(diagnosis.judge_tiers([TierFacts("30s", 7, overdue_s), TierFacts("120s", 0, None)])) == [level]


@pytest.mark.parametrize(
    ("hour", "day", "level"),
    [
        (Counter(), Counter(), OK),
        (Counter({"invalid-input": DEAD_LETTERS_IN_AN_HOUR}), Counter({"invalid-input": 900}), OK),
        (Counter({"invalid-input": DEAD_LETTERS_IN_AN_HOUR + 1}), Counter({"invalid-input": 900}), WARNING),
        (Counter(), Counter({"invalid-input": 900, "retries-exhausted": 900, "in-doubt": 900}), OK),
        (Counter(), Counter({"template": 1}), WRONG),
        (Counter(), Counter({"bug": 1}), WRONG),
        (Counter(), Counter({"rejected-by-store": 1}), WRONG),
    ],
)
def test_dead_letters(hour: Counter[str], day: Counter[str], level: Level) -> None:
    assert levels(diagnosis.judge_dead_letters(DeadLetterFacts(hour, day, day, parked=3))) == [level]


def test_our_own_fault_does_not_hide_a_flood() -> None:
    hour = Counter({"bug": 1, "invalid-input": 100})
    assert levels(diagnosis.judge_dead_letters(DeadLetterFacts(hour, hour, hour, parked=0))) == [WRONG, WARNING]


@pytest.mark.parametrize(
    ("count", "oldest_s", "level"),
    [(0, 0.0, OK), (9, DAY_S + UNACCOUNTED_GRACE_S, OK), (1, DAY_S + UNACCOUNTED_GRACE_S + 1, WRONG)],
)
def test_the_account(count: int, oldest_s: float, level: Level) -> None:
    assert levels(diagnosis.judge_account(count, oldest_s, DAY_S)) == [level]


@pytest.mark.parametrize(
    ("applied", "level"), [(["1", "2"], OK), (["1"], WRONG), ([], WRONG), (["1", "2", "3"], WARNING)]
)
def test_the_schema(applied: list[str], level: Level) -> None:
    assert levels(diagnosis.judge_schema(["1", "2"], applied)) == [level]


@pytest.mark.parametrize(
    ("ahead_days", "strays", "said"),
    [
        (14, 0, ["are made ahead"]),
        (6, 0, ["t has no partition for the days to come"]),
        (0, 0, ["t has none for now"]),
        (14, 1, ["rows in t_default"]),
        (0, STRAYS_COUNTED + 1, ["t has none for now", "rows in t_default"]),
    ],
)
def test_partitions(ahead_days: int, strays: int, said: list[str]) -> None:
    found = diagnosis.judge_partitions([PartitionFacts("t", ahead_days * DAY_S, strays)])
    assert [one.what for one in found] == said
    assert set(levels(found)) == {OK if (ahead_days, strays) == (14, 0) else WARNING}


@pytest.mark.parametrize(("free", "level"), [(50, OK), (9, WARNING), (1, WRONG)])
def test_disks(free: int, level: Level) -> None:
    assert levels(diagnosis.judge_disk("/data", free, 100)) == [level]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WorkerFacts(name="w", circuits={("sms", "http"): 0}, stuck_s=STUCK_S), [OK]),
        (WorkerFacts(name="w", circuits={("sms", "http"): 1}), [WARNING]),
        (WorkerFacts(name="w", circuits={("sms", "http"): 2, ("sms", "other"): 0}), [WRONG]),
        (WorkerFacts(name="w", circuits={}, unready=("consumer: recovering",)), [WRONG]),
        (WorkerFacts(name="w", circuits={}, halted=[*HaltCause], stuck_s=STUCK_S + 1), [WRONG, WRONG, WRONG]),
    ],
)
def test_workers(facts: WorkerFacts, expected: list[Level]) -> None:
    assert levels(diagnosis.judge_worker(facts)) == expected


def test_a_worker_that_is_to_be_restarted_is_told_by_its_pid() -> None:
    """One that has lost records is not: what is to be done before stands elsewhere."""
    here = WorkerFacts(name="w", circuits={}, halted=[*HaltCause], pid=4711)
    assert ["kill -TERM 4711: its supervisor" in one.advice for one in diagnosis.judge_worker(here)] == [
        cause is HaltCause.DEAD_LETTERS for cause in HaltCause
    ]
    (elsewhere,) = diagnosis.judge_worker(WorkerFacts(name="w", circuits={}, halted=[HaltCause.DEAD_LETTERS]))
    assert elsewhere.advice.endswith("then restart it")


def test_a_warning_does_not_make_it_ill() -> None:
    assert is_healthy([Finding(OK, "a", ""), Finding(WARNING, "b", "")])
    assert not is_healthy([Finding(OK, "a", ""), Finding(WRONG, "b", "")])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (90, "1 min 30 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said
