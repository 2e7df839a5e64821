"""How is JSON from outside read? Typed, bounded, and every refusal names the field it concerns."""

import re
from typing import TypeVar

import msgspec

from pipeline.errors import InvalidInput

MAX_BYTES = 1 << 20

T = TypeVar("T")

_WHERE = re.compile(r" - at `(?P<key>key` in `)?\$(?P<path>.*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$")


def accept(value: bytes | None) -> bytes:
    """The value, if it is worth parsing: present, of at most `MAX_BYTES`, UTF-8, and without NUL in its strings.

    NUL is refused here because Postgres text cannot hold it. Raises `InvalidInput`.
    """
    if value is None:
        raise InvalidInput("", "the value is null")
    if not value:
        raise InvalidInput("", "the value is empty")
    if len(value) > MAX_BYTES:
        raise InvalidInput("", f"{len(value)} bytes, at most {MAX_BYTES} are taken")
    try:
        value.decode()  # msgspec does not look into the strings of fields that it skips
    except UnicodeDecodeError as error:
        raise InvalidInput("", f"not UTF-8 at byte {error.start}") from error
    if b"\\u0000" in value:
        _refuse_nul(parse(_ANYTHING, value))
    return value


def parse(decoder: msgspec.json.Decoder[T], value: bytes | msgspec.Raw, prefix: str = "") -> T:
    """What ``decoder`` reads. Raises `InvalidInput`, its field being ``prefix`` and the path within ``value``."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _named(str(error), prefix) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(prefix, "not UTF-8") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(prefix, f"not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput(prefix, "nested too deeply") from error


def join(prefix: str, path: str) -> str:
    """``events[2]`` and ``eventID`` make ``events[2].eventID``."""
    return f"{prefix}.{path}" if prefix and path and not path.startswith("[") else prefix + path


def _named(message: str, prefix: str) -> InvalidInput:
    where = _WHERE.search(message)
    path = where["path"].removeprefix(".") if where else ""
    problem = message[: where.start()] if where else message
    missing = _MISSING.match(problem)
    if missing:
        return InvalidInput(join(prefix, join(path, missing["name"])), "missing")
    return InvalidInput(join(prefix, path), problem[:1].lower() + problem[1:].replace("`", ""))


_ANYTHING = msgspec.json.Decoder()


def _refuse_nul(document: object) -> None:
    pending: list[tuple[str, object]] = [("", document)]
    while pending:
        path, value = pending.pop()
        match value:
            case str() if "\0" in value:
                raise InvalidInput(path, "holds the character NUL")
            case list():
                pending += [(f"{path}[{index}]", item) for index, item in enumerate(value)]
            case dict():
                pending += [(path, name) for name in value]
                pending += [(join(path, name), item) for name, item in value.items()]
