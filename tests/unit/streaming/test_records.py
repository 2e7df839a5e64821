"""A fetched record says what aiokafka's own says, as far as anybody asks."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streaming.records import FetchedRecord, FetchedRecords

TP = TopicPartition("topic", 3)
# A codec's number, and what its data begin with; snappy in the frames that Java puts around it.
CODECS = [(0, b""), (1, b"\x1f\x8b"), (2, b"\x82SNAPPY\x00"), (3, b"\x04\x22\x4d\x18"), (4, b"\x28\xb5\x2f\xfd")]
HEADER_BYTES = 61
NAMES = [name for name in FetchedRecord.__struct_fields__ if name != "headers"]


def batch(codec: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 16,
    )  # fmt: skip
    builder.append(0, 1_700_000_000_000, b"key", b"value" * 100, [("name", b"said"), ("empty", None)])
    builder.append(1, 1_700_000_000_001, None, None, [])
    return bytes(builder.build())


def said(record: Any) -> tuple[object, ...]:
    return (*(getattr(record, name) for name in NAMES), list(record.headers))


@pytest.mark.parametrize(("codec", "begins"), CODECS)
def test_it_has_what_aiokafkas_has(codec: int, begins: bytes) -> None:
    assert batch(codec)[HEADER_BYTES:].startswith(begins)
    settings = ([], 0, None, None, True, READ_UNCOMMITTED)
    ours = list(FetchedRecords(TP, MemoryRecords(batch(codec)), *settings))
    theirs = list(PartitionRecords(TP, MemoryRecords(batch(codec)), *settings))
    assert {type(record) for record in ours} == {FetchedRecord}
    assert [said(record) for record in ours] == [said(record) for record in theirs]
    assert len(ours) == 2
