"""How does a process speak to its operators? One line an event on stdout: ECS JSON, or for people at a terminal.

Our own code logs through structlog with a constant message and fields in ECS names (``event.action``,
``event.outcome``, ``event.duration`` in ns, ``error.*``, ``labels.*``). What libraries say through the standard library
goes the same way out: same format, same redaction.
"""

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Literal, TextIO, cast

import ecs_logging
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from observability.calm import Calm
from observability.redaction import redact_fields

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

SERVICE = "cargo-herald"
LIBRARIES = ("faust", "mode", "aiokafka", "aiohttp", "streaming")


def configure(level: Level, fmt: Format, role: str, instance: str, stream: TextIO | None = None) -> None:
    """Take over structlog and the root logger; call once, at the start of a process.

    ``level`` is that of our own code; libraries are a step quieter, and never at ``debug``: a Faust worker whose
    loggers are at that level spends a tenth of its time on them. ``auto`` is for people when ``stream`` (stdout) is a
    terminal. ``instance`` names this process among its role's (the pod's name).
    """
    stream = stream or sys.stdout
    own_level = logging.getLevelNamesMapping()[level.upper()]
    if fmt == "json" or (fmt == "auto" and not stream.isatty()):
        chain = _json_chain(role, instance)
    else:
        chain = _console_chain(colors=stream.isatty())

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _from_us, *chain],
        wrapper_class=structlog.make_filtering_bound_logger(own_level),
        logger_factory=lambda *name: _OwnLogger(stream, *name),
    )

    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_from_library, *chain]))
    handler.addFilter(Calm())
    logging.basicConfig(handlers=[handler], level=max(own_level, logging.INFO), force=True)
    for library in LIBRARIES:
        # What a worker does on its way up and down fills a screen; an operator wants the lines that are not usual.
        logging.getLogger(library).setLevel(max(own_level + 10, logging.INFO))
    # Anybody can send what is no HTTP: that is answered, and no error of ours.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.captureWarnings(True)


def _json_chain(role: str, instance: str) -> Sequence[Processor]:
    origin = {"service.name": SERVICE, "service.node.name": instance, "labels.role": role}

    def add_origin(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**event, **origin}

    to_json = cast(Processor, ecs_logging.StructlogFormatter(ensure_ascii=False))
    return (_ecs_error, add_origin, _redact, to_json)


def _console_chain(*, colors: bool) -> Sequence[Processor]:
    return (
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
        structlog.processors.format_exc_info,
        _redact,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    )


class _OwnLogger(structlog.WriteLogger):
    def __init__(self, stream: TextIO, name: str = SERVICE) -> None:
        super().__init__(stream)
        self.module = name


def _from_us(logger: _OwnLogger, _: str, event: EventDict) -> EventDict:
    return {"log.logger": logger.module, **event}


def _from_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep of a standard library record its message, its error and its logger's name."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    return {**event, "log.logger": record.name}


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return redact_fields(event)


def _ecs_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """``exc_info`` as ``error.type``, ``error.message`` and ``error.stack_trace``.

    A plain ``error=`` becomes ``error.message``: the ECS formatter would raise on it, in the middle of someone's
    handling of that error.
    """
    if "error" in event:
        event["error.message"] = event.pop("error")
    error = _raised(event.pop("exc_info", None))
    if error is not None:
        event["error.type"] = _qualified_name(type(error))
        event["error.message"] = str(error)
        event["error.stack_trace"] = "".join(traceback.format_exception(error))
    return event


def _raised(exc_info: object) -> BaseException | None:
    """The exception behind any form that ``exc_info`` may take."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast(BaseException | None, exc_info[1])
    return sys.exception() if exc_info else None


def _qualified_name(cls: type[BaseException]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
