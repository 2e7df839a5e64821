"""What is on stdout when our code and libraries log."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from observability.logging import Format, Level, configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def started(level: Level = "info", fmt: Format = "auto", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure(level, fmt, role="send-sms", instance="herald-send-sms-0", stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_ecs_json_in_its_own_letters() -> None:
    stream = started()
    structlog.get_logger("agents.send").info(
        "batch sent", **{"event.action": "send", "labels.channel": "sms", "who": "Иван"}
    )

    (line,) = lines(stream)
    assert "Иван" in stream.getvalue()
    assert line["message"] == "batch sent"
    assert line["log.level"] == "info"
    assert line["log"]["logger"] == "agents.send"
    assert line["event"] == {"action": "send"}
    assert line["service"] == {"name": "cargo-herald", "node": {"name": "herald-send-sms-0"}}
    assert line["labels"] == {"channel": "sms", "role": "send-sms"}
    assert line["@timestamp"].endswith("Z")


def test_bound_context_is_on_every_line() -> None:
    stream = started()
    with structlog.contextvars.bound_contextvars(**{"labels.batch": "b-1"}):
        structlog.get_logger().info("one")
    assert lines(stream)[0]["labels"]["batch"] == "b-1"


def test_libraries_go_the_same_way_out() -> None:
    stream = started()
    logging.getLogger("aiosmtplib").warning("rcpt %s refused", "ivan@example.org")

    (line,) = lines(stream)
    assert line["message"] == "rcpt ***@example.org refused"
    assert (line["log.level"], line["log"]["logger"]) == ("warning", "aiosmtplib")
    assert line["service"]["name"] == "cargo-herald"


def test_warnings_are_lines_too() -> None:
    stream = started()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
    assert lines(stream)[0]["log"]["logger"] == "py.warnings"


@pytest.mark.parametrize("source", ["ours", "library"])
def test_an_exception_is_told_by_type_message_and_trace(source: str) -> None:
    stream = started()
    try:
        raise ConnectionResetError("peer of +79161234567 went away")
    except ConnectionResetError:
        if source == "ours":
            structlog.get_logger().exception("call failed")
        else:
            logging.getLogger("aiohttp").exception("call failed")

    (line,) = lines(stream)
    assert line["log.level"] == "error"
    assert line["error"]["type"] == "ConnectionResetError"
    assert line["error"]["message"] == "peer of +***67 went away"
    assert "test_logging.py" in line["error"]["stack_trace"]
    assert "79161234567" not in stream.getvalue()


def test_a_plain_error_field_does_not_break_the_line() -> None:
    stream = started()
    error = json.JSONDecodeError("bad", "doc", 0)
    structlog.get_logger().error("refused", error=error, exc_info=error)
    structlog.get_logger().warning("refused", error="no such code")
    first, second = lines(stream)
    assert first["error"]["type"] == "json.decoder.JSONDecodeError"
    assert second["error"] == {"message": "no such code"}


@pytest.mark.parametrize("name", ["faust", "faust.transport.consumer", "mode", "aiokafka", "aiohttp"])
def test_no_library_is_ever_at_debug(name: str) -> None:
    started("debug")
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize(("level", "heard"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_levels(level: Level, heard: int) -> None:
    stream = started(level)
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert len(lines(stream)) == heard
    logging.getLogger("faust").info("d")
    assert len(lines(stream)) == heard + (level == "debug")


def test_people_at_a_terminal_get_text() -> None:
    stream = started(stream=Terminal())
    structlog.get_logger().info("batch sent", n=3, address="Tverskaya 1")
    text = stream.getvalue()
    assert "batch sent" in text
    assert "\x1b[" in text
    assert "Tverskaya" not in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_a_traceback_for_people_is_redacted_too() -> None:
    stream = started(fmt="console")
    try:
        raise ValueError("bad +79161234567")
    except ValueError:
        structlog.get_logger().exception("boom")
    text = stream.getvalue()
    assert "Traceback" in text
    assert "\x1b[" not in text
    assert "79161234567" not in text


def test_json_can_be_asked_for_at_a_terminal() -> None:
    stream = started(fmt="json", stream=Terminal())
    structlog.get_logger().info("x")
    assert lines(stream)[0]["message"] == "x"
