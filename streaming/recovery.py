"""How does a table come back? Whole fetches of its changelog at a time; a broker that does not answer ends the worker.

Faust puts each record of a changelog into a queue, which a task reads into a buffer: sixty microseconds a row, and what
is queued when a rebalance comes is dropped. Here a fetch is one write into RocksDB, with the offset that it reaches, as
soon as it arrives. Which partitions are recovered, from where and how far stays Faust's.

Faust takes a question that nobody answered in time for the end of the service, and its recovery does not run again: not
for this assignment, and not for those after it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery, ServiceStopped
from faust.types.tuples import TP

from streaming.records import FetchedRecord
from streaming.table import ChangelogTable

if TYPE_CHECKING:
    from streaming.app import ConsumerApp


class FetchRecovery(Recovery):
    """Beside it, Faust's task goes on to look at its queue, which stays empty, and every five seconds for the end."""

    def apply(self, tp: TP, records: Sequence[FetchedRecord]) -> None:
        """Records of one changelog partition, in offset order; those that the table has already are passed over.

        So is what comes late, when the table is in use: it holds later rows than those.
        """
        if tp not in self.active_tps or not self.in_recovery:
            return
        seen = self.active_offsets.get(tp)
        new = [record for record in records if seen is None or record.offset > seen]
        if not new:
            return
        cast(ChangelogTable, self.tp_to_table[tp]).recover(tp.partition, new)
        self.active_offsets[tp] = new[-1].offset
        if self.in_recovery and not self.need_recovery():
            self._set_recovery_ended()
            self.signal_recovery_end.set()

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        """A table that is ahead of its changelog is of another log: Kafka has lost its end, or the topic is a new one.

        Raises ConsistencyError, which ends the worker; the next one reads the whole changelog. Faust raises it, too,
        at each start again, and takes an end or an offset of 0 for none.
        """
        await super()._build_offsets(consumer, tps, destination, title)
        ahead = {tp: destination[tp] for tp in tps & self.active_tps if destination[tp] > self.active_highwaters[tp]}
        if not ahead:
            return
        # What is known of the ends may be of the assignment before. A log only grows: what it says now is decisive.
        ends = await consumer.highwaters(*ahead)
        ahead = {tp: offset for tp, offset in ahead.items() if offset >= (ends[tp] or 0)}
        for tp in ahead:
            cast(ChangelogTable, self.tp_to_table[tp]).store.mark(tp.partition)
        if ahead:
            where = ", ".join(f"{tp} at {offset} of {ends[tp]}" for tp, offset in sorted(ahead.items()))
            raise ConsistencyError(f"tables are ahead of their changelogs, recovering them at the next start: {where}")

    def _set_recovery_started(self) -> None:
        # Faust's task clears it each time round, which is too late for one that has just been set.
        self.signal_recovery_end.clear()
        super()._set_recovery_started()

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 as Faust names it
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if not self.should_stop:
                cast("ConsumerApp", self.app).engine.fail(TimeoutError(f"no answer to a recovery within {timeout} s"))
            raise


class Tables(TableManager):
    """For ``faust.App(TableManager=...)``."""

    @property
    def recovery(self) -> FetchRecovery:
        if self._recovery is None:
            self._recovery = FetchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(FetchRecovery, self._recovery)
