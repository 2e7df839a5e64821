"""A fetched record says what aiokafka's own says, as far as anybody asks."""

from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streaming.records import FetchedRecord, FetchedRecords

TP = TopicPartition("topic", 3)
NAMES = [name for name in FetchedRecord.__struct_fields__ if name != "headers"]


def answer() -> MemoryRecords:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 16,
    )  # fmt: skip
    builder.append(0, 1_700_000_000_000, b"key", b"value", [("name", b"said"), ("empty", None)])
    builder.append(1, 1_700_000_000_001, None, None, [])
    return MemoryRecords(bytes(builder.build()))


def said(record: Any) -> tuple[object, ...]:
    return (*(getattr(record, name) for name in NAMES), list(record.headers))


def test_it_has_what_aiokafkas_has() -> None:
    settings = ([], 0, None, None, True, READ_UNCOMMITTED)
    ours = list(FetchedRecords(TP, answer(), *settings))
    theirs = list(PartitionRecords(TP, answer(), *settings))
    assert {type(record) for record in ours} == {FetchedRecord}
    assert [said(record) for record in ours] == [said(record) for record in theirs]
    assert len(ours) == 2
