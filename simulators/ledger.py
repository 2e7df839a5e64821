"""What was the provider told? One line of JSON for each message that it accepted or answered, in order.

A message counts as told when it is ``accepted``, whether its answer arrived or not. ``repeat`` is a message that came
again under a key that the provider honours: answered as before, not told twice.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import msgspec


class Result(StrEnum):
    ACCEPTED = "accepted"
    REPEAT = "repeat"
    REFUSED = "refused"
    FAILED = "failed"
    THROTTLED = "throttled"
    ERROR = "error"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """``at`` in epoch seconds; ``request`` counts calls from 1; ``fault`` says why an answer never arrived intact.

    Hundreds wait to be written at once; the garbage collector would look through them for cycles that cannot be.
    """

    at: float
    request: int
    id: str
    to: str
    text_sha256: str
    result: Result
    code: str = ""
    fault: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """``distinct`` notifications were told; ``duplicates`` counts how often one of them was told again.

    ``connections`` and ``requests`` count what came in, ``tokens`` the access tokens handed out.
    """

    connections: int
    requests: int
    tokens: int
    messages: int
    distinct: int
    duplicates: int
    results: dict[Result, int]


class Ledger:
    """Appends to a file; the caller flushes, so that 20,000 messages a second cost few writes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._encoder = msgspec.json.Encoder()
        self._unwritten: list[Entry] = []
        self._results: Counter[Result] = Counter()
        self._told: set[str] = set()
        self._connections = 0
        self._requests = 0
        self._tokens = 0

    def count_connection(self) -> None:
        self._connections += 1

    def count_token(self) -> None:
        self._tokens += 1

    def begin_request(self) -> int:
        """The new request's number."""
        self._requests += 1
        return self._requests

    def record(
        self, request: int, message_id: str, to: str, text: str, result: Result, *, code: str = "", fault: str = ""
    ) -> None:
        entry = Entry(
            at=time.time(),
            request=request,
            id=message_id,
            to=to,
            text_sha256=_sha256(text),
            result=result,
            code=code,
            fault=fault,
        )
        self._unwritten.append(entry)
        self._results[result] += 1
        if result is Result.ACCEPTED:
            self._told.add(message_id)

    def flush(self) -> None:
        if self._unwritten:
            self._file.write(self._encoder.encode_lines(self._unwritten))
            self._unwritten.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()

    def summary(self) -> Summary:
        return Summary(
            connections=self._connections,
            requests=self._requests,
            tokens=self._tokens,
            messages=self._results.total(),
            distinct=len(self._told),
            duplicates=self._results[Result.ACCEPTED] - len(self._told),
            results=dict(self._results),
        )


@lru_cache(maxsize=1_024)
def _sha256(text: str) -> str:
    """Many are told the same."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_ledger(path: Path) -> Iterator[Entry]:
    """The entries on disk; a last line that is still being written is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield msgspec.json.decode(line, type=Entry)
