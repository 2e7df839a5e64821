"""`herald demo` on a Kafka that somebody named: not where workers are at work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from cli.demo_guard import refuse_where_others_work

TIMEOUT_S = 30.0
GROUP, TOPIC = "herald-send-push", "demo-guard"


@contextmanager
def worker(kafka: str) -> Iterator[Consumer]:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        error = future.exception(timeout=TIMEOUT_S)
        assert error is None or "exists" in str(error)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": GROUP, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([TOPIC])
        deadline = time.monotonic() + TIMEOUT_S
        while not consumer.assignment():
            assert time.monotonic() < deadline
            consumer.poll(0.1)
        yield consumer
    finally:
        consumer.close()


def test_where_a_worker_is_at_work_it_is_refused_by_role(kafka: str) -> None:
    with worker(kafka), pytest.raises(click.ClickException, match=r"HERALD_KAFKA names .* \(send-push\)"):
        refuse_where_others_work(kafka, patience_s=0)


def test_where_all_have_gone_it_goes_on(kafka: str) -> None:
    with worker(kafka):
        pass
    refuse_where_others_work(kafka)


def test_it_says_so_where_kafka_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.demo_guard.ASK_TIMEOUT_S", 1.0)
    with pytest.raises(click.ClickException, match=r"Kafka at 127\.0\.0\.1:1:"):
        refuse_where_others_work("127.0.0.1:1", patience_s=0)
