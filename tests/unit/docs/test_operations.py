"""What operators read is what a worker shows: metrics and labels, reasons, statuses, roles, topics."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import topics
from cli.dlq_records import operator
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.ledger import Disposition
from pipeline.outcomes import FINAL_STATUSES
from settings import Role, Settings
from tests.unit.deploy.manifests import name, of_kind, roles, secret_keys
from tests.unit.docs.pages import PAGES, ROOT, read, rows
from tests.unit.observability.feed import feed
from web.health import Problem
from web.server import operations_app

OPERATIONS = ROOT / "docs" / "operations.md"
GLOSSARY = ROOT / "docs" / "glossary.md"


class Healthy:
    def live(self) -> Sequence[Problem]:
        return ()

    def ready(self) -> Sequence[Problem]:
        return ()


@pytest.fixture
async def metrics() -> dict[str, set[str]]:
    """The labels of each metric by its name, as a worker that has met everything exports them."""
    registry = CollectorRegistry()
    answered = feed(registry).answered
    app = operations_app(health_of=Healthy(), registry=registry, answered=answered, request_timeout_s=5)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/metrics")).text()
    return {
        family.name + ("_total" if family.type == "counter" else ""): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in text_string_to_metric_families(text)
    }


def test_the_table_of_metrics_is_complete(metrics: dict[str, set[str]]) -> None:
    told = {row[0]: set(re.findall(r"\w+", row[1])) for row in rows(OPERATIONS, r"herald_\w+")}
    assert told == metrics


def test_no_document_names_a_metric_that_is_not_there(metrics: dict[str, set[str]]) -> None:
    named = {one for page in PAGES for one in re.findall(r"`(herald_\w+)", read(page))}
    assert named <= metrics.keys()


def test_every_secret_has_its_way_to_a_new_one() -> None:
    """Beside it, the workloads to restart: those that read it, but for the toolbox."""
    told: dict[str, set[str]] = {}
    for line in re.findall(r"^\| `HERALD_.+\|.+\|$", read(OPERATIONS), re.MULTILINE):
        secrets, _, restart = line.strip("|").split("|")
        read_by = {one.split("/")[1] for one in re.findall(r"`([a-z]+/herald-[a-z-]+)`", restart)}
        told |= dict.fromkeys(re.findall(r"HERALD_[A-Z_]+", secrets), read_by or {"herald-sink", "herald-api"})
    there: dict[str, set[str]] = {}
    for workload in roles("base"):
        for secret in secret_keys(workload):
            there.setdefault(secret, set()).add(workload["metadata"]["name"])
    assert told == there


def test_every_reason_of_a_dead_letter_has_its_advice() -> None:
    told = re.findall(r"^   \| `([a-z-]+)` \|", read(OPERATIONS), re.MULTILINE)
    assert set(told) == set(DeadLetterReason)


def test_who_did_it_is_who_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (who,) = set(re.findall(r"env LOGNAME=(\w+) herald dlq", read(OPERATIONS)))
    monkeypatch.setenv("LOGNAME", who)
    assert operator() == who


def test_workloads_that_are_told_of_are_in_the_manifests() -> None:
    there = {name(one).lower() for one in of_kind("base", "StatefulSet", "Deployment", "Job", "CronJob")}
    told = {
        f"{kind}/{workload}"
        for page in PAGES
        for kind, workload in re.findall(r"\b(statefulset|deployment|cronjob|job)[ /](herald-[a-z-]+)", read(page))
    }
    assert "deployment/herald-toolbox" in told
    assert told <= there


def test_the_toolbox_is_to_ask_every_role() -> None:
    (asked,) = re.findall(r"component in \((.+)\)'", read(OPERATIONS))
    assert set(asked.split(",")) == set(Role)


def test_the_glossary_has_every_final_status_and_disposition() -> None:
    text = read(GLOSSARY)
    told = {word for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)}
    assert told == FINAL_STATUSES
    assert {one for one in Disposition if f"`{one}`" not in text} == set()


def test_every_role_is_told_of() -> None:
    for page in (OPERATIONS, GLOSSARY, ROOT / "docs" / "decisions" / "0002-a-role-per-consumer-group.md"):
        assert {role for role in Role if f"`{role}`" not in read(page)} == set()


def test_the_picture_shows_our_topics_and_roles() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "img" / "flow.svg")  # noqa: S314 our own file
    texts = {"".join(one.itertext()) for one in picture.iter("{http://www.w3.org/2000/svg}text")}
    shown = {name for text in texts for name in _spelt_out(text) if re.fullmatch(r"(cargo|herald)\..+\.v1", name)}
    settings = Settings()
    there = {one.name for one in topics.all_topics(settings.retry_tiers_s, settings.seen_for_s)}
    there = {re.sub(r"^herald\.retry\..*\.v1$", "herald.retry.<delay>.v1", one) for one in there}
    assert shown == {one for one in there if not one.endswith("-changelog")}
    assert set(Role) <= texts


def _spelt_out(text: str) -> list[str]:
    """``a.{b,c}.d`` is two names."""
    found = re.search(r"\{(.+)\}", text)
    return [text.replace(found[0], one) for one in found[1].split(",")] if found else [text]
