"""Who is told about the shipments of this partition? Rows by shipment, as published and checked."""

from collections.abc import Mapping, Sequence

import faust
import msgspec

from pipeline.subscriptions import Subscription
from streaming.producer import RecordSink
from streaming.table import ChangelogTable, Row, table


class Subscriptions:
    def __init__(self, app: faust.App) -> None:
        # Rows were checked before they were written.
        self._decode = msgspec.json.Decoder(Subscription).decode
        self.table: ChangelogTable = table(app, "subscriptions", help="who is told, by shipment")

    def get(self, partition: int, shipment_id: str) -> Subscription | None:
        row = self.table.read(partition, shipment_id.encode())
        return None if row is None else self._decode(row)

    async def put(self, producer: RecordSink, rows: Mapping[int, Sequence[Row]]) -> None:
        """Rows by partition, values of ``cargo.subscriptions.v1`` that decode; None takes a subscription away."""
        await self.table.write(producer, rows)
