"""`herald demo` on a Kafka that somebody named: not where workers are at work. `herald run`: not where its own are."""

import time
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

import topics
from cli import guard
from cli.demo import demo
from cli.guard import refuse_where_others_work, refuse_where_they_work
from cli.run import run
from settings import Role
from stack import Endpoints
from stack.lockfile import alone

TIMEOUT_S = 30.0
GROUP, TOPIC = "herald-send-push", "demo-guard"


def worker(kafka: str, **others: object) -> Consumer:
    """It has joined its group."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        error = future.exception(timeout=TIMEOUT_S)
        assert error is None or "exists" in str(error)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": GROUP, "auto.offset.reset": "earliest", **others})
    consumer.subscribe([TOPIC])
    deadline = time.monotonic() + TIMEOUT_S
    while not consumer.assignment():
        assert time.monotonic() < deadline
        consumer.poll(0.1)
    return consumer


def test_a_demo_where_a_worker_is_at_work_is_refused_by_role(
    stack_endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guard, "PATIENCE_S", 0.0)
    given = {
        "HERALD_KAFKA": stack_endpoints.kafka,
        "HERALD_POSTGRES": stack_endpoints.postgres,
        "HERALD_REDIS": stack_endpoints.redis,
    }
    with closing(worker(stack_endpoints.kafka)):
        result = CliRunner(env=given).invoke(demo)
    assert result.exit_code == 1
    assert f"HERALD_KAFKA names {stack_endpoints.kafka}, where workers are at work (send-push)" in result.output


def test_it_waits_for_those_that_go(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = worker(kafka)
    said: list[str] = []

    def goes(text: str) -> None:
        said.append(text)
        there.close()

    monkeypatch.setattr(click, "echo", goes)
    refuse_where_others_work(kafka)
    assert len(said) == 1
    assert "waiting 15 s" in said[0]


def test_it_says_so_where_kafka_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ASK_TIMEOUT_S", 1.0)
    monkeypatch.setattr(guard, "PATIENCE_S", 0.0)
    with pytest.raises(click.ClickException, match=r"Kafka at 127\.0\.0\.1:1:"):
        refuse_where_others_work("127.0.0.1:1")


@pytest.mark.parametrize("member", ["send-push", topics.static_member("send-push", ["a", "b"], 4)])
def test_a_run_is_refused_where_workers_of_the_same_name_are(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    monkeypatch.setattr(guard, "MARGIN_S", 0.0)
    given = {"HERALD_KAFKA": kafka, "HERALD_SESSION_TIMEOUT_S": "0.1", "HERALD_FCM_CREDENTIALS": "key.json"}
    arguments = ["--role", "send-push", "--role", "api", "--folder", str(tmp_path)]
    with closing(worker(kafka, **{"group.instance.id": member, "session.timeout.ms": 6_000})):
        result = CliRunner(env=given).invoke(run, arguments)
    assert result.exit_code == 1
    assert f"workers of these names are at work on Kafka at {kafka}: send-push. Two of a name" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["lock"], "nothing was started"
    # A static member does not leave: it is forgotten after its session.
    refuse_where_they_work(kafka, [Role.SEND_PUSH], TIMEOUT_S)


def test_a_run_beside_workers_with_other_names_is_not(kafka: str) -> None:
    with closing(worker(kafka)):
        refuse_where_they_work(kafka, list(Role), 0.1)


def test_a_run_waits_for_kafka_with_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ASK_TIMEOUT_S", 1.0)
    refuse_where_they_work("127.0.0.1:1", list(Role), 0.1)


@pytest.mark.parametrize(
    ("command", "arguments", "folder"),
    [(demo, [], ".herald/demo"), (run, [], ".herald/run"), (run, ["--folder", "x"], "x")],
)
def test_a_second_one_in_the_same_folder_is_refused_and_nothing_is_wiped(
    command: click.Command, arguments: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    servers = Path(".herald/demo/stack")
    servers.mkdir(parents=True)
    with alone(Path(folder) / "lock", "the first one"):
        result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 1
    assert f"is running in {folder}: stop it first" in result.output
    assert servers.exists()
