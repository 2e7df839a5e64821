from dataclasses import replace

import pytest

from tests.bench.compare_plots import by_server, stages
from tests.bench.report import figures_table, line, workers_table
from tests.bench.summary import summary
from tests.unit.bench.made_up import RUN, by_hand

FIRST_KEYS = [
    "baseline_per_s",
    "herald_per_s",
    "ratio",
    "baseline_cpu_us",
    "herald_cpu_us",
    "cpu_ratio",
    "rounds",
    "lost",
    "duplicates",
]


def test_what_is_asked_of_first_comes_first() -> None:
    found = summary({"baseline": [by_hand()], "herald": [RUN]}, rounds=1, load=0.1)
    assert list(found)[: len(FIRST_KEYS)] == FIRST_KEYS
    assert (found["baseline_per_s"], found["herald_per_s"], found["ratio"]) == (1_000, 2_000, 2.0)
    assert (found["herald_cpu_us"], found["cpu_ratio"]) == (pytest.approx(90.1), 1.0)
    assert (found["herald_kafka_bytes"], found["herald_server_cpu_us"]) == (2_000, 90)


def test_a_worker_that_waits_is_not_busy() -> None:
    assert RUN.busy == ["enrich", "send-sms", "sink"]
    assert RUN.peak_mb == 300


def test_ratios_are_of_medians() -> None:
    slow, fast = replace(RUN, seconds=10.0), replace(RUN, seconds=0.25)
    found = summary({"baseline": [by_hand()] * 3, "herald": [slow, RUN, fast]}, rounds=3, load=0)
    assert found["ratio"] == 2.0
    assert found["herald_per_s_range"] == [100, 4_000]
    assert found["ratio_range"] == [0.1, 4.0]
    assert found["cpu_ratio_range"] == [found["cpu_ratio"]] * 2


def test_what_is_lost_or_told_twice_is_summed_over_all_runs() -> None:
    runs = {"baseline": [replace(by_hand(), lost=2), by_hand()], "herald": [RUN, replace(RUN, duplicates=1)]}
    found = summary(runs, rounds=2, load=0)
    assert (found["lost"], found["duplicates"]) == (2, 1)


def test_one_side_alone_has_no_ratio() -> None:
    assert "ratio" not in summary({"herald": [RUN]}, rounds=1, load=0)


def test_workers_are_told_by_what_they_do() -> None:
    assert stages({"send-sms": 3.0, "send-push": 1.0, "enrich-2": 2.0, "api": 0.5}) == {
        "enrich": 2.0,
        "send": 4.0,
        "sink": 0.0,
        "others": 0.5,
    }
    assert by_server({"kafka": 1.0, "sms": 2.0, "fcm": 0.5})["providers"] == 2.5


def test_tables_name_every_figure() -> None:
    runs = {"baseline": [by_hand()], "herald": [RUN]}
    assert [column.header for column in figures_table(runs).columns][-1] == "ratio"
    assert workers_table(runs).row_count == 7
    assert "lost 3" in line("herald", 1, replace(RUN, lost=3)).plain
