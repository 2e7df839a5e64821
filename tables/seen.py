"""Which events has this partition dealt with? Rows by `StatusEvent.identity`; while one lasts, it tells a repeat."""

from collections.abc import Mapping

import faust
import msgspec

from pipeline.enrich import SeenRow
from streaming.producer import RecordSink
from streaming.table import ChangelogTable, table

SWEEP_AT_ONCE = 1_000


class SeenEvents:
    def __init__(self, app: faust.App, *, keep_s: float) -> None:
        self._keep_ms = round(keep_s * 1000)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(SeenRow).decode
        self.table: ChangelogTable = table(app, "seen", help="events dealt with, by issuer and id")

    def get(self, partition: int, identity: str) -> SeenRow | None:
        row = self.table.read(partition, identity.encode())
        return None if row is None else self._decode(row)

    async def put(self, producer: RecordSink, partition: int, rows: Mapping[str, SeenRow]) -> None:
        """Returns when the broker has the rows: only after what they stand for is durable itself."""
        await self.table.write(
            producer, partition, [(identity.encode(), self._encode(row)) for identity, row in rows.items()]
        )

    def sweep(self, now_ms: int) -> int:
        """Drop some rows that are too old from the local store; the changelog's retention drops them from Kafka."""
        dropped = 0
        for partition in self.table.partitions_here():
            old = []
            for key, row in self.table.rows(partition):
                if self._decode(row).seen_ms < now_ms - self._keep_ms:
                    old.append(key)
                if len(old) >= SWEEP_AT_ONCE:
                    break
            if old:
                self.table.forget(partition, old)
                dropped += len(old)
        return dropped
