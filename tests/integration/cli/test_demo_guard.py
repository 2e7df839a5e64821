"""`herald demo` on a Kafka that somebody named: not where workers are at work."""

import time
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from cli import demo_guard
from cli.demo import demo
from cli.demo_guard import refuse_where_others_work
from stack import Endpoints

TIMEOUT_S = 30.0
GROUP, TOPIC = "herald-send-push", "demo-guard"


def worker(kafka: str) -> Consumer:
    """It has joined its group."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        error = future.exception(timeout=TIMEOUT_S)
        assert error is None or "exists" in str(error)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": GROUP, "auto.offset.reset": "earliest"})
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
    monkeypatch.setattr(demo_guard, "PATIENCE_S", 0.0)
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
    monkeypatch.setattr(demo_guard, "ASK_TIMEOUT_S", 1.0)
    monkeypatch.setattr(demo_guard, "PATIENCE_S", 0.0)
    with pytest.raises(click.ClickException, match=r"Kafka at 127\.0\.0\.1:1:"):
        refuse_where_others_work("127.0.0.1:1")
