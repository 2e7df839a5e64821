"""A process that is frozen with a record in its queue does not send it when it wakes up too late."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

TIMEOUT_S = 20.0
GATHER_S = 2.0
STALE_AFTER_S = 4.0


@pytest.fixture
def topic(new_topic: Callable[[int], str]) -> str:
    return new_topic(1)


def records(kafka: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "log_level": 0})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_S)[1]
    finally:
        consumer.close()


@pytest.mark.parametrize(("frozen_s", "word", "arrived"), [(STALE_AFTER_S + 0.5, "stale", 1), (0.1, "sent", 2)])
def test_a_record_in_the_queue_of_a_frozen_process(
    kafka: str, topic: str, frozen_s: float, word: str, arrived: int
) -> None:
    command = [sys.executable, "-m", "tests.integration.streaming.produce_one"]
    whole = [*command, kafka, topic, str(STALE_AFTER_S), str(GATHER_S)]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "queued\n"
            process.send_signal(signal.SIGSTOP)
            time.sleep(frozen_s)
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline() == f"{word}\n"
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
    assert records(kafka, topic) == arrived
