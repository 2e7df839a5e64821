"""How is the account of a scenario read, from outside of the pipeline's processes?

`begin` marks where everything ends before the scenario; `read_account` reads from there, once all is quiet: `offsets`
tells how much is on its way.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import asyncpg
import msgspec

import topics
from pipeline.ledger import Disposition
from pipeline.notifications import Channel
from pipeline.outcomes import Status
from simulators.ledger import Entry, read_ledger
from tests.chaos import kafka_reader, records
from tests.chaos.account import (
    Account,
    Arrival,
    CircuitWord,
    Committed,
    Coordinates,
    Fault,
    Handed,
    LedgerRow,
    Letter,
    Lined,
    Row,
    Rules,
    Waiting,
    Word,
)
from tests.chaos.kafka_reader import Offsets
from tests.chaos.published import read_lines

T = TypeVar("T")

TIMEOUT_S = 60.0

OUTCOMES = """
    SELECT notification_id, status, attempts, finished_at FROM notification_outcome WHERE finished_at >= $1
"""
EVENTS = """
    SELECT source_topic, source_partition, source_offset, source_index, disposition FROM event_ledger
    WHERE recorded_at >= $1
"""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """When a scenario began, and where each topic ended then."""

    at_s: float
    ends: Offsets


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where everything is. ``logs`` are the files of a channel's send workers, one for each worker."""

    kafka: str
    postgres: str
    feeders: Sequence[Path]
    providers: Mapping[Channel, Path]
    logs: Mapping[Channel, Sequence[Path]]
    tiers_s: Sequence[float]


def begin(kafka: str, tiers_s: Sequence[float]) -> Beginning:
    """To be called when nothing is on its way: what began before would be found without a cause."""
    names = kafka_reader.accounted_topics(tiers_s)
    return Beginning(at_s=time.time(), ends=kafka_reader.ends(kafka, names))


def offsets(sources: Sources) -> list[Committed]:
    """How far every group has got; cheap enough to be asked every second."""
    return kafka_reader.committed(sources.kafka, sources.tiers_s)


def read_account(sources: Sources, beginning: Beginning, *, rules: Rules, faults: Sequence[Fault] = ()) -> Account:
    """Everything since ``beginning``. Blocks; raises KafkaException, TimeoutError, asyncpg's errors, OSError.

    Offsets come first: what had been committed past then has left its traces wherever is looked afterwards.
    """
    lines = [line for path in sources.feeders for line in read_lines(path)]
    read_ms = time.time_ns() // 1_000_000
    committed = offsets(sources)
    names = kafka_reader.accounted_topics(sources.tiers_s)
    read = _read_topics(sources.kafka, beginning.ends, kafka_reader.ends(sources.kafka, names))
    rows, ledger_rows = asyncio.run(_read_postgres(sources.postgres, beginning.at_s))
    return Account(
        lines=lines,
        arrivals=[one for one in _of(read, Arrival) if one.place.topic == topics.STATUS],
        again=[one for one in _of(read, Arrival) if one.place.topic == topics.STATUS_AGAIN],
        ledger=_of(read, Lined),
        handed=_of(read, Handed),
        waiting=_of(read, Waiting),
        words=_of(read, Word),
        letters=_of(read, Letter),
        rows=rows,
        ledger_rows=ledger_rows,
        entries={channel: read_entries(path, beginning.at_s) for channel, path in sources.providers.items()},
        committed=committed,
        read_ms=read_ms,
        rules=rules,
        faults=faults,
        circuits={
            channel: [list(read_circuit(path, beginning.at_s)) for path in paths]
            for channel, paths in sources.logs.items()
        },
    )


def read_entries(path: Path, since_s: float) -> list[Entry]:
    """What a provider was told from then on."""
    return [entry for entry in read_ledger(path) if entry.at >= since_s]


class _LogLine(msgspec.Struct, frozen=True, rename={"at": "@timestamp"}):
    at: datetime
    message: str = ""
    provider: str = ""


_log_line = msgspec.json.Decoder(_LogLine)
_TURNS = {"circuit opened": True, "circuit closed": False}


def read_circuit(path: Path, since_s: float) -> Iterator[CircuitWord]:
    """What one worker's log says of its circuit; a last line that is still being written is left out."""
    with path.open("rb") as lines:
        for line in lines:
            # A worker's log is also its stderr: not every line of it is JSON.
            if b'"circuit ' not in line or not line.endswith(b"\n"):
                continue
            said = _log_line.decode(line)
            at_s = said.at.timestamp()
            if said.message in _TURNS and at_s >= since_s:
                yield CircuitWord(at_s, said.provider, _TURNS[said.message])


def _read_topics(kafka: str, since: Offsets, until: Offsets) -> dict[type, list[Any]]:
    readers = {topic: records.reader(topic) for topic, _ in until}
    read: defaultdict[type, list[Any]] = defaultdict(list)
    for message in kafka_reader.records(kafka, since, until):
        one = readers[cast(str, message.topic())](message)
        read[type(one)].append(one)
    return read


def _of(read: Mapping[type, list[Any]], kind: type[T]) -> list[T]:
    return read.get(kind, [])


async def _read_postgres(dsn: str, since_s: float) -> tuple[list[Row], list[LedgerRow]]:
    since = datetime.fromtimestamp(since_s, UTC)
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
    try:
        outcomes = await connection.fetch(OUTCOMES, since, timeout=TIMEOUT_S)
        events = await connection.fetch(EVENTS, since, timeout=TIMEOUT_S)
    finally:
        await connection.close(timeout=TIMEOUT_S)
    return (
        [Row(str(id), Status(status), attempts, finished_at) for id, status, attempts, finished_at in outcomes],
        [
            LedgerRow(Coordinates(topic, partition, offset), index, Disposition(disposition))
            for topic, partition, offset, index, disposition in events
        ],
    )
