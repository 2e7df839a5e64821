"""``herald run`` tells of each worker that is ready, and no worker that is not stops the others."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import run
from cli.supervisor import Worker
from settings import Role


class Scripted:
    """``sink`` is ready at the third look, ``enrich`` never; after the fifth, a worker has ended too often."""

    def __init__(self, roles: Any, *, environment: Any, folder: Path) -> None:
        self.workers = {
            role.value: Worker(role.value, role, 8080, folder / "log", folder / "data")
            for role in (Role.ENRICH, Role.SINK)
        }
        self.looks = 0
        self.stopped = False
        STARTED.append(self)

    @property
    def failure(self) -> str | None:
        self.looks += 1
        return "sink ended 21 times" if self.looks > 5 else None

    def start(self) -> None: ...

    def is_ready(self, worker: Worker) -> bool:
        return worker.role is Role.SINK and self.looks >= 3

    def stop(self) -> None:
        self.stopped = True


ROLES = ["--role", "enrich", "--role", "sink"]
STARTED: list[Scripted] = []


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(run, "Supervisor", Scripted)
    monkeypatch.setattr(run, "refuse_where_they_work", lambda *_: None)
    monkeypatch.setattr(run, "LOOK_EVERY_S", 0.0)
    yield
    signal.signal(signal.SIGTERM, before)
    STARTED.clear()


def test_a_worker_that_is_not_ready_stops_nobody_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "SLOW_START_S", 0.0)
    log = tmp_path / "log"
    log.write_text('{"log.level": "warning", "message": "waiting for Kafka", "reason": "it lacks x"}\n')
    result = CliRunner().invoke(run.run, ["--folder", str(tmp_path), *ROLES])
    (supervisor,) = STARTED
    assert supervisor.looks > 5, "it was looked at until a worker had ended too often"
    assert result.stdout.splitlines() == [f"sink         ready, pid None, http://127.0.0.1:8080, log {log}"]
    said = [f"{name:<12} not ready, pid None: waiting for Kafka: it lacks x" for name in ("enrich", "sink")]
    assert result.stderr.splitlines()[:-1] == said, "once"


def test_push_without_its_key_is_refused_with_the_roles_that_are_left() -> None:
    result = CliRunner(env={"HERALD_FCM_CREDENTIALS": None}).invoke(run.run, ["--role", "send-push", "--role", "sink"])
    assert (result.exit_code, STARTED) == (1, [])
    assert result.stderr.endswith("to leave it out, name the others: herald run --role sink\n")


def test_a_worker_that_ends_too_often_stops_all(tmp_path: Path) -> None:
    result = CliRunner().invoke(run.run, ["--folder", str(tmp_path), *ROLES])
    assert (result.exit_code, STARTED[0].stopped) == (1, True)
    assert "sink ended 21 times" in result.stderr
