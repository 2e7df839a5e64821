"""Every check is asked at once, none can hide another, and what is known of nothing is said once."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from rich.console import Console

import topics
from cli import workers_file
from cli.doctor import examine, findings_table
from cli.doctor_checks import Check, checks, groups_of_roles
from cli.doctor_kafka import CannotAsk
from cli.doctor_probes import Address, address_of, ask_worker, disks, known_changesets, worker_facts
from cli.workers_file import WorkerEntry
from pipeline.diagnosis import Finding, Level
from pipeline.symptoms import WorkerFacts
from settings import Role, Settings

FINE = Finding(Level.OK, "a", "fine")


def answering(*findings: Finding) -> Callable[[], Awaitable[list[Finding]]]:
    async def ask() -> list[Finding]:
        await asyncio.sleep(0)
        return list(findings)

    return ask


def failing(error: Exception) -> Callable[[], Awaitable[list[Finding]]]:
    async def ask() -> list[Finding]:
        raise error

    return ask


async def test_what_cannot_be_asked_is_a_finding_and_hides_nothing() -> None:
    found = await examine(
        [
            Check(name="b", ask=failing(CannotAsk("refused, ask anna@example.org")), advice="do"),
            Check(name="c", ask=failing(TimeoutError()), level=Level.WARNING),
            Check(name="d", ask=failing(KeyError("x"))),
            Check(name="a", ask=answering(FINE)),
        ]
    )
    assert found[0] == Finding(Level.WRONG, "b", "refused, ask ***@example.org", "", "do")
    assert (found[1].level, found[1].what) == (Level.WARNING, "no answer within 10 s")
    assert (found[2].level, found[2].what) == (Level.WRONG, "the check failed: KeyError: 'x'")
    assert found[3] == FINE


async def test_a_server_that_is_away_is_told_once_with_what_hangs_on_it() -> None:
    away = failing(CannotAsk("away"))
    found = await examine(
        [
            Check(name="Kafka", ask=away),
            Check(name="lag", ask=away, needs="Kafka"),
            Check(name="lag", ask=away, needs="Kafka"),
            Check(name="topics", ask=away, needs="Kafka"),
            Check(name="a", ask=answering(FINE), needs="Kafka"),
        ]
    )
    assert [one.what for one in found] == ["away; so nothing is known of: lag, topics", "fine"]


async def test_what_fails_by_itself_is_told_by_itself() -> None:
    found = await examine(
        [Check(name="Kafka", ask=answering(FINE)), Check(name="lag", ask=failing(CannotAsk("slow")), needs="Kafka")]
    )
    assert [one.what for one in found] == ["fine", "slow"]


def test_every_group_and_worker_is_looked_at() -> None:
    workers = [WorkerEntry("sink-2", "http://127.0.0.1:1", "")]
    names = [one.name for one in checks(Settings(), workers)]
    assert names.count("lag") == len(Role) - 2, "the api has no group, and what waits in a tier is no lag of retry"
    assert names[-1] == "sink-2"
    assert groups_of_roles().keys() == topics.read_by(Settings().retry_tiers_s).keys()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://fcm.googleapis.com", Address("fcm.googleapis.com", 443)),
        ("http://sms/v1", Address("sms", 80)),
        ("http://[::1]:8101/v1", Address("::1", 8101)),
    ],
)
def test_addresses_have_the_port_of_their_scheme(url: str, address: Address) -> None:
    assert address_of(url) == address


def test_a_worker_is_known_by_its_gauges() -> None:
    registry = CollectorRegistry()
    Gauge("herald_circuit_state", "?", ["channel", "provider"], registry=registry).labels("sms", "http").set(2)
    halted = Gauge("herald_halted", "?", ["cause"], registry=registry)
    halted.labels("dead-letters").set(1)
    halted.labels("records-lost").set(0)
    Gauge("herald_stuck_seconds", "?", registry=registry).set(7)
    facts = worker_facts("w", ["consumer: recovering"], generate_latest(registry).decode())
    assert (facts.circuits, facts.halted, facts.stuck_s) == ({("sms", "http"): 2}, ["dead-letters"], 7.0)
    assert facts.unready == ("consumer: recovering",)
    nothing = worker_facts("w", [], "")
    assert (nothing.circuits, nothing.halted, nothing.stuck_s) == ({}, [], 0.0)


class Halting:
    """A worker that is starting, and halts after so many questions."""

    def __init__(self, after: int) -> None:
        self._left = after

    def _has_halted(self) -> bool:
        self._left -= 1
        return self._left < 0

    async def ready(self, _: web.Request) -> web.Response:
        check, detail = ("halted", "lost") if self._has_halted() else ("consumer", "starting")
        return web.json_response({"problems": [{"check": check, "detail": detail}]})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=f'herald_halted{{cause="records-lost"}} {int(self._has_halted())}\n')

    async def seen(self) -> WorkerFacts:
        app = web.Application()
        app.add_routes([web.get("/health/ready", self.ready), web.get("/metrics", self.metrics)])
        async with TestServer(app) as server:
            return await ask_worker("w", str(server.make_url("/")), 5.0)


@pytest.mark.parametrize(
    ("after", "halted", "unready"),
    [(0, ["records-lost"], "halted: lost"), (1, [], "halted: lost"), (2, [], "consumer: starting")],
)
async def test_a_worker_that_has_halted_is_never_said_to_start(after: int, halted: list[str], unready: str) -> None:
    facts = await Halting(after).seen()
    assert (facts.halted, facts.unready) == (halted, (unready,))


def test_changesets_are_known_in_their_order() -> None:
    assert known_changesets()[:2] == ["0001-notification-outcome", "0002-event-ledger"]


def test_one_disk_is_told_once_and_a_folder_need_not_be_there(tmp_path: Path) -> None:
    ((path, free, total),) = disks([tmp_path / "not" / "yet", tmp_path])
    assert path.endswith("yet")
    assert 0 < free <= total


def test_the_table_has_everything_and_is_nobody_elses_markup() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(findings_table([Finding(Level.WRONG, "lag", "[bold]\x1b[31mx", "5 records", "add workers")]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for cell in ("wrong", "lag", r"[bold]\x1b[31mx", "5 records", "add workers"):
        assert cell in text


WORKERS = [WorkerEntry("enrich", "http://127.0.0.1:1", "/data/enrich")]


def test_workers_are_found_while_their_supervisor_lives(tmp_path: Path) -> None:
    assert workers_file.read(tmp_path) == []
    workers_file.write(tmp_path, WORKERS)
    assert workers_file.read(tmp_path) == WORKERS
    workers_file.remove(tmp_path)
    workers_file.remove(tmp_path)
    assert workers_file.read(tmp_path) == []


def test_a_file_that_was_left_behind_counts_for_nothing(tmp_path: Path) -> None:
    workers_file.write(tmp_path, WORKERS)
    path = tmp_path / workers_file.NAME
    left = json.loads(path.read_text())
    for other in ({"started": left["started"] - 3_600}, {"pid": max(psutil.pids()) + 100_000}):
        path.write_text(json.dumps(left | other))
        assert workers_file.read(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "started": 1, "workers": []}'])
def test_another_file_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / workers_file.NAME).write_text(text)
    with pytest.raises(ValueError, match=workers_file.NAME):
        workers_file.read(tmp_path)
