"""What if the broker does not answer a recovery? The worker ends.

Faust takes a question that nobody answered in time for the end of the service, and its recovery does not run again: not
for this assignment, and not for those after it.
"""

from typing import TYPE_CHECKING, Any, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery, ServiceStopped

if TYPE_CHECKING:
    from streaming.app import ConsumerApp


class EndingRecovery(Recovery):
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
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = EndingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
