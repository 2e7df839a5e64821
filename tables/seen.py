"""Which events has this partition dealt with? Rows by `StatusEvent.identity`; while one lasts, it tells a repeat."""

from collections.abc import Mapping

import faust
import msgspec

from pipeline.enrich import SeenRow
from streaming.producer import RecordSink
from streaming.table import ChangelogTable, table


class SeenEvents:
    def __init__(self, app: faust.App, *, keep_s: float) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(SeenRow).decode
        self.table: ChangelogTable = table(
            app, "seen", help="events dealt with, by issuer and id", forget_after_s=keep_s
        )

    def get(self, partition: int, identity: str) -> SeenRow | None:
        row = self.table.read(partition, identity.encode())
        return None if row is None else self._decode(row)

    async def put(self, producer: RecordSink, rows: Mapping[int, Mapping[str, SeenRow]]) -> None:
        """Rows by partition; returns when the broker has them: only after what they stand for is durable itself."""
        await self.table.write(
            producer,
            {
                partition: [(identity.encode(), self._encode(row)) for identity, row in some.items()]
                for partition, some in rows.items()
            },
        )
