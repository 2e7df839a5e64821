"""What does Kafka take at once? The records of one partition, alike and compressed together."""

import asyncio
import struct
from collections.abc import Sequence

import cramjam
import msgspec
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

# With its frame it is what a topic takes that says nothing of it. A larger record is a batch by itself.
BATCH_BYTES = 1_000_000
RECORD_FORMAT = 2
NO_ID = -1

# Where a batch has what, by Kafka's own description of its format: https://kafka.apache.org/documentation/#recordbatch
LENGTH_AT, CRC_AT, ATTRIBUTES_AT, RECORDS_AT = 8, 17, 21, 61
LENGTH_COUNTS_FROM = 12

FASTEST = 1

# The type is aiokafka's; every value here is bytes.
Headers = list[tuple[str, bytes | None]]
NO_HEADERS: Headers = []


class Record(msgspec.Struct, frozen=True):
    """What is produced; ``partition`` -1 leaves it to the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int = -1


class Batch:
    """Takes records until it is full or closed; ``settled`` is the offset of its first one in the end, or its failure.

    ``since`` is when the first of them was handed over, by the lease's clock. Once it is ``is_written`` it may have
    reached a broker.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self.is_open = True
        self.is_written = False
        self.count = 0
        self.bytes = 0
        self.written = bytearray()
        self.settled: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._builder: DefaultRecordBatchBuilder | None = DefaultRecordBatchBuilder(
            RECORD_FORMAT, DefaultRecordBatch.CODEC_NONE, 0, NO_ID, NO_ID, 0, BATCH_BYTES
        )

    def take(self, records: Sequence[Record], at_ms: int) -> int:
        """How many of them it has taken; the first of all it takes whatever its size."""
        assert self._builder is not None, "it is closed"
        append, first, taken = self._builder.append, self.count, len(records)
        for number, one in enumerate(records):
            if append(first + number, at_ms, one.key, one.value, one.headers or NO_HEADERS) is None:
                self.is_open, taken = False, number
                break
        self.count += taken
        self.bytes = self._builder.size()
        return taken

    def close(self, producer_id: int, epoch: int, sequence: int) -> None:
        """Nothing is taken any more, and what is written is the same however often it is sent."""
        assert self._builder is not None, "it is closed once"
        self._builder.set_producer_state(producer_id, epoch, sequence)
        self.written = _compressed(self._builder.build())
        self.is_open, self.is_written, self._builder = False, True, None

    def settle(self, offset: int) -> None:
        if not self.settled.done():
            self.settled.set_result(offset)

    def fail(self, error: Exception) -> None:
        if not self.settled.done():
            self.settled.set_exception(error)
            # Whoever waited for it may have gone.
            self.settled.exception()


def _compressed(plain: bytearray) -> bytearray:
    """Records of a batch are alike: a quarter of the bytes, for the broker, its disks and whoever reads.

    aiokafka's own compression is at level 9 and has no other: a fifth fewer bytes, for thirteen times the CPU.
    """
    compressor = cramjam.lz4.Compressor(level=FASTEST, content_checksum=False, block_linked=False)
    compressor.compress(bytes(plain[RECORDS_AT:]))
    packed = bytes(compressor.finish())
    if RECORDS_AT + len(packed) >= len(plain):
        return plain
    batch = plain[:RECORDS_AT] + packed
    struct.pack_into(">i", batch, LENGTH_AT, len(batch) - LENGTH_COUNTS_FROM)
    struct.pack_into(">h", batch, ATTRIBUTES_AT, DefaultRecordBatch.CODEC_LZ4)
    struct.pack_into(">I", batch, CRC_AT, calc_crc32c(batch[ATTRIBUTES_AT:]))
    return batch
