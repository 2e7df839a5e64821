"""Which alerts speak when? The rules on series made up for it, by Prometheus' own promtool (see conftest.py)."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

RULES = Path(__file__).parents[3] / "ops" / "prometheus" / "herald.rules.yaml"
DAY = 1_440
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


@dataclass(frozen=True, slots=True)
class Case:
    """``series`` have a sample a minute, in promtool's notation; ``firing`` are all that speak at the end."""

    why: str
    minutes: int
    series: Mapping[str, str]
    firing: frozenset[str] = frozenset()


def case(why: str, minutes: int, series: Mapping[str, str], *firing: str) -> Case:
    return Case(why, minutes, series, frozenset(firing))


CREATED = 'herald_notifications_created_total{instance="enrich-0",job="herald"}'
# Of four workers, told when they ended; a minute of each one's is lost.
RESTARTED = "0+18000x700 0+18000x900"


def outcomes(values: str, workers: int = 4) -> dict[str, str]:
    return {f'herald_outcomes_total{{instance="send-sms-{n}",job="herald"}}': values for n in range(workers)}


ACCOUNT = [
    case("all is told", DAY, {CREATED: "0+72000x1600", **outcomes("0+18000x1600")}),
    case("all workers were started again", DAY, {CREATED: "0+72000x1600", **outcomes(RESTARTED)}),
    case("and again", DAY, {CREATED: "0+72000x1600", **outcomes("0+18000x300 " + RESTARTED)}),
    case("one in a hundred is lost", DAY, {CREATED: "0+72000x1600", **outcomes("0+17820x1600")}, "HeraldUnaccounted"),
    case("of few, a hundred are lost", DAY, {CREATED: "0+2x1600", **outcomes("0+0x1600")}, "HeraldUnaccounted"),
    case("of few, a dozen wait", DAY, {CREATED: "0+0x1420 1+1x100", **outcomes("0+0x1600")}),
]


def dead(reason: str, values: str) -> dict[str, str]:
    return {f'herald_dead_letters_total{{instance="enrich-0",job="herald",reason="{reason}"}}': values}


DEAD_LETTERS = [
    case("a few invalid ones", 60, dead("invalid-input", "0x50 0+1x5 5x10")),
    case("many invalid ones", 60, dead("invalid-input", "0x50 0+3x10"), "HeraldDeadLetters"),
    case("one bug waits for the morning", 60, dead("bug", "0x50 1x20"), "HeraldDeadLetters"),
    *(
        case(
            f"{reason} again and again", 60, dead(reason, "0x50 0+3x10"), "HeraldDeadLetters", "HeraldDeadLettersOfOurs"
        )
        for reason in ("bug", "rejected-by-store", "template")
    ),
]


def worker(role: str, starts: str, *, instance: str = "10.0.0.1:8080", read: str = "1x60") -> dict[str, str]:
    labels = f'instance="{instance}",job="herald"'
    return {
        f"process_start_time_seconds{{{labels}}}": starts,
        f'herald_build_info{{{labels},role="{role}",version="0.1.0"}}': read,
    }


PAUSES = "stale _x4 {} " * 6  # ended, and started again after five minutes
ONCE = "100x30 200x30"
STARTS = [
    case("a release", 60, {k: v for n in range(6) for k, v in worker("sink", ONCE, instance=f"sink-{n}").items()}),
    case("two starts", 60, worker("sink", "100x30 200x5 300x30")),
    case("one worker again and again", 60, worker("sink", "100x30 200x4 300x4 400x4 500x10"), "HeraldCrashLoop"),
    case(
        "with Kubernetes' longest pauses between",
        60,
        worker("sink", "100x20 " + PAUSES.format(*range(200, 800, 100)), read="1x20 " + PAUSES.replace("{}", "1")),
        "HeraldCrashLoop",
    ),
    case(
        "a record that ends whoever takes it",
        60,
        worker("retry", "100x40 200x4 300x20", instance="a") | worker("retry", "101x42 201x4 301x20", instance="b"),
        "HeraldCrashLoop",
    ),
    case(
        "an address that another role has had",
        60,
        worker("sink", "", read="_x36 1x30") | worker("api", "100x30 200x4 300x4 400x4 500x20", read="1x35 _x40"),
        "HeraldCrashLoop",
        "HeraldRoleGone",
    ),
    case("somebody else's process", 60, {'process_start_time_seconds{job="other"}': "100x30 200x4 300x4 400x4 500x20"}),
]


def waits(topic: str, values: str) -> dict[str, str]:
    return {f'herald_oldest_waiting_seconds{{instance="a",job="herald",partition="3",topic="{topic}"}}': values}


def lag(values: str) -> dict[str, str]:
    return {f'herald_consumer_lag_records{{instance="a",job="herald",partition="3",topic="{STATUS}"}}': values}


URGENT, STATUS, OUTCOMES = "herald.sms.urgent.v1", "cargo.status.v1", "herald.outcomes.v1"
WAITING = [
    case("urgent ones wait for a moment", 60, waits(URGENT, "0x57 90x1 0x10")),
    case("urgent ones wait", 60, waits(URGENT, "0x57 90x10"), "HeraldUrgentWaits"),
    case("seen now and then", 60, waits(URGENT, "0x50 " + "90 stale _ " * 4), "HeraldUrgentWaits"),
    case("they waited, and do no more", 80, waits(URGENT, "0x50 90x10 0x30")),
    case("events wait", 60, waits(STATUS, "0x50 1000x10"), "HeraldRecordsWait"),
    case("seen every sixth minute", 60, waits(STATUS, "0x30 " + "1000 stale _x3 " * 6), "HeraldRecordsWait"),
    case("outcomes wait for some hours", 60, waits(OUTCOMES, "40000x70"), "HeraldRecordsWait"),
    case("outcomes wait for a day", 60, waits(OUTCOMES, "87000x70"), "HeraldRecordsWait", "HeraldOutcomesWait"),
    case("a tier is meant to wait", 60, waits("herald.retry.1h.v1", "2000x70")),
    case("a backlog is worked off", 60, lag("20000-100x70")),
    case("a backlog grows", 60, lag("20000+100x70"), "HeraldLagGrows"),
    case(
        "where its worker comes and goes",
        60,
        lag(" ".join(f"{20_000 + 500 * n}x1 stale _x2" for n in range(12))),
        "HeraldLagGrows",
    ),
    case(
        "a tier is late, seen now and then",
        60,
        {'herald_retry_overdue_seconds{instance="a",job="herald",tier="30s"}': "0x35 " + "90 stale _x2 " * 6},
        "HeraldRetryLate",
    ),
]


def silent(values: str) -> dict[str, str]:
    return {'herald_group_silent_seconds{instance="a",job="herald"}': values}


CUT_OFF = [
    case("a rebalance takes a minute", 60, silent("0x56 30 90 3x5")),
    case("no broker answers", 60, silent("0x50 60+60x10"), "HeraldWorkerCutOff"),
]


def answers(status: int, values: str, *, route: str = "/v1/notifications/{id}") -> dict[str, str]:
    return {f'herald_http_requests_total{{instance="a",job="herald",route="{route}",status="{status}"}}': values}


API = [
    case("one in fifty fails", 60, answers(200, "0+98x70") | answers(503, "0+2x70")),
    case("one in ten fails", 60, answers(200, "0+90x70") | answers(503, "0+10x70"), "HeraldApiFails"),
    case("all fail", 60, answers(500, "0+1x70"), "HeraldApiFails"),
    case("of few, a few fail", 60, answers(200, "0x50 0+1x20") | answers(500, "0x50 0x7 1x3")),
    case("keys are wrong", 60, answers(401, "0+100x70")),
    case("a worker is not ready", 60, answers(200, "0+1x70") | answers(503, "0+12x70", route="/health/ready")),
]


def volume(claim: str, available: int) -> dict[str, str]:
    labels = f'namespace="cargo-herald",persistentvolumeclaim="{claim}"'
    return {
        f"kubelet_volume_stats_available_bytes{{{labels}}}": f"{available}x70",
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": "10000000000x70",
    }


DISKS = [
    case("a fifth is free", 60, volume("state-herald-enrich-0", 2_000_000_000)),
    case("a twentieth is free", 60, volume("state-herald-enrich-0", 500_000_000), "HeraldDiskFills"),
    case("somebody else's", 60, volume("data-postgres-0", 500_000_000)),
]


@pytest.mark.parametrize(
    "case", [*ACCOUNT, *DEAD_LETTERS, *STARTS, *WAITING, *CUT_OFF, *API, *DISKS], ids=lambda case: case.why
)
def test_what_speaks(case: Case, tmp_path: Path) -> None:
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": f"{case.minutes}m",
                "exp_samples": [{"labels": f"{{alertname={json.dumps(one)}}}", "value": 1} for one in case.firing],
            }
        ],
    }
    evaluated = 10 if case.minutes > 100 else 1  # or a day takes promtool seconds
    written = tmp_path / "test.yaml"
    file = {"rule_files": [str(RULES)], "evaluation_interval": f"{evaluated}m", "tests": [test]}
    written.write_text(yaml.safe_dump(file), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(written)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
