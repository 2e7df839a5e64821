"""The last warning of a worker's log is what keeps it; what it usually says, and what others said before, is not."""

import json
from pathlib import Path

import pytest

from cli.worker_log import END_BYTES, last_warning


def entry(level: str, message: str, **fields: object) -> str:
    return json.dumps({"log.level": level, "message": message, **fields})


USUAL = entry("info", "partitions taken over")


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([], ""),
        ([USUAL], ""),
        ([entry("warning", "waiting for Kafka", reason="it lacks x"), USUAL], "waiting for Kafka: it lacks x"),
        ([entry("error", "no rows", error={"message": "gone", "type": "E"})], "no rows: gone"),
        ([entry("warning", "first"), entry("warning", "second")], "second"),
        (["Traceback (most recent call last):", "  x", "ImportError: no y", ""], "ImportError: no y"),
        (["12:00:01 [warning  ] waiting for Kafka"], "12:00:01 [warning  ] waiting for Kafka"),
        ([entry("warning", "far back"), *[USUAL] * (END_BYTES // len(USUAL))], ""),
    ],
)
def test_what_it_warned_of_last(tmp_path: Path, lines: list[str], word: str) -> None:
    log = tmp_path / "w.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    assert last_warning(log) == word


def test_what_was_said_before_it_began_is_not_its_word(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    log.write_text(entry("warning", "of yesterday") + "\n")
    assert last_warning(log, log.stat().st_size) == ""
