"""The alert rules and the log shipper's configuration speak of metrics, labels and lines that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from pipeline.deadletter_reasons import DeadLetterReason
from tests.unit.deploy.manifests import of_kind
from tests.unit.observability.feed import feed

OPS = Path(__file__).parents[3] / "ops"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((OPS / "prometheus" / "herald.rules.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
TARGET = {"instance", "job"}  # what Prometheus itself adds
WEB = {"herald_http_requests_total": {"route", "status"}}  # of web/metrics.py, which counts where somebody asks
VOLUME = {"namespace", "persistentvolumeclaim"}
KUBELET = {"kubelet_volume_stats_available_bytes": VOLUME, "kubelet_volume_stats_capacity_bytes": VOLUME}

STATEFUL_SETS = of_kind("base", "StatefulSet")

every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """The labels of each series by its name."""
    registry = CollectorRegistry()
    feed(registry)
    ProcessCollector(registry=registry)
    labels = {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}
    return labels | WEB | KUBELET


def used(rule: dict[str, Any]) -> set[str]:
    return set(re.findall(r"\b(?:herald|process|kubelet)_\w+", rule["expr"]))


@every_rule
def test_its_metrics_exist(rule: dict[str, Any], series: dict[str, set[str]]) -> None:
    assert used(rule)
    assert used(rule) <= series.keys()


@every_rule
def test_it_selects_by_labels_that_the_metrics_have(rule: dict[str, Any], series: dict[str, set[str]]) -> None:
    for metric, matchers in re.findall(r"\b((?:herald|kubelet)_\w+)\{([^}]*)\}", rule["expr"]):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers)) <= series[metric]


@every_rule
def test_it_groups_by_labels_that_the_metrics_have(rule: dict[str, Any], series: dict[str, set[str]]) -> None:
    kept = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in group.split(",")}
    joined = set(re.findall(r"\bgroup_left \((\w+)\)", rule["expr"]))
    for metric in used(rule):
        assert kept - joined <= series[metric] | TARGET
    assert joined <= set().union(*(series[metric] for metric in used(rule)))


@every_rule
def test_what_it_says_is_there_to_be_said(rule: dict[str, Any], series: dict[str, set[str]]) -> None:
    """A label that the expression sums away would be empty in the message."""
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    aggregated = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    kept = {label.strip() for group in aggregated for label in group.split(",")}
    assert told <= (kept if aggregated else TARGET.union(*(series[metric] for metric in used(rule))))


@every_rule
def test_it_says_what_to_do_and_how_soon(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "action"}


@every_rule
def test_metrics_named_in_its_advice_exist(rule: dict[str, Any], series: dict[str, set[str]]) -> None:
    assert set(re.findall(r"\bherald_\w+", rule["annotations"]["action"])) <= series.keys()


def test_every_reason_of_a_dead_letter_is_somebodys() -> None:
    """A fault of ours wakes people; of what publishers and providers do, other alerts say when it is too much."""
    (ours,) = [rule for rule in RULES if rule["alert"] == "HeraldDeadLettersOfOurs"]
    assert ours["labels"]["severity"] == "page"
    named = set(re.findall(r"[a-z-]+", "".join(re.findall(r'reason=~"([^"]+)"', ours["expr"]))))
    theirs = {DeadLetterReason.INVALID_INPUT, DeadLetterReason.RETRIES_EXHAUSTED, DeadLetterReason.IN_DOUBT}
    assert named == set(DeadLetterReason) - theirs


def test_the_disks_it_looks_at_are_those_of_the_manifests() -> None:
    (claim,) = {claim["metadata"]["name"] for one in STATEFUL_SETS for claim in one["spec"]["volumeClaimTemplates"]}
    (rule,) = [rule for rule in RULES if rule["alert"] == "HeraldDiskFills"]
    (pattern,) = re.findall(r'persistentvolumeclaim=~"([^"]+)"', rule["expr"])
    assert all(re.fullmatch(pattern, f"{claim}-{one['metadata']['name']}-0") for one in STATEFUL_SETS)


def test_filebeat_reads_our_containers_line_by_line() -> None:
    (shipper,) = yaml.safe_load((OPS / "filebeat" / "herald.yaml").read_text(encoding="utf-8"))["filebeat.inputs"]
    assert shipper["type"] == "filestream"
    assert [next(iter(parser)) for parser in shipper["parsers"]] == ["container", "ndjson"]
