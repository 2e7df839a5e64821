"""What files say: the feeder's lines, and a worker's log of its circuit."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from observability.logging import configure
from pipeline.notifications import Channel
from tests.chaos.account import CircuitWord
from tests.chaos.ledgers import read_circuit
from tests.chaos.published import Kind, Line, Told, read_lines

LINE = b'{"kind":"event","id":"e-1","shipment":"s-1","at":1.5,"told":"ok","topic":"t","partition":2,"offset":3}\n'


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def log(tmp_path: Path, logging_as_it_was: None) -> Path:
    """A worker's log as the worker itself writes it, with what else comes from a process."""
    stream = io.StringIO()
    configure("info", "json", "send-sms", "send-sms-1", stream)
    said = structlog.get_logger("agents.send")
    said.info("partitions taken over", partitions=4)
    said.warning("circuit opened", provider="batch-http", channel=Channel.SMS)
    stream.write("Traceback (most recent call last):\n")
    said.info("circuit closed", provider="batch-http", channel=Channel.SMS)
    said.info("circuit closed")
    path = tmp_path / "send-sms.log"
    path.write_text(stream.getvalue().removesuffix("\n"))
    return path


def test_a_log_is_read_up_to_the_line_that_is_being_written(log: Path) -> None:
    words = list(read_circuit(log, 0))

    assert [(one.provider, one.opened) for one in words] == [("batch-http", True), ("batch-http", False)]
    assert 0 <= words[1].at_s - words[0].at_s < 5


def test_what_was_logged_before_is_left_out(log: Path) -> None:
    first, second = read_circuit(log, 0)

    assert list(read_circuit(log, second.at_s + 1)) == []
    assert first in list(read_circuit(log, first.at_s))
    assert isinstance(first, CircuitWord)


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "feed.ndjson"
    path.write_bytes(LINE + LINE[:40])

    assert list(read_lines(path)) == [
        Line(kind=Kind.EVENT, id="e-1", shipment="s-1", at=1.5, told=Told.OK, topic="t", partition=2, offset=3)
    ]
