"""Is this role's worker live, and is it ready? Answered from what the worker itself knows."""

from collections.abc import Sequence

from streaming.app import ConsumerApp, RoleApp
from web.health import Problem


class RoleHealth:
    """A worker is ready once its partitions are assigned and its tables recovered; live while the watchdog is."""

    def __init__(self, app: RoleApp) -> None:
        self._app = app

    def live(self) -> Sequence[Problem]:
        if isinstance(self._app, ConsumerApp) and self._app.patience.is_over():
            return [Problem("progress", "there is work, and none of it moves")]
        return []

    def ready(self) -> Sequence[Problem]:
        if reason := self._app.halt.reason:
            return [Problem("halted", reason)]
        if isinstance(self._app, ConsumerApp) and not self._app.consumer_is_ready():
            return [Problem("consumer", "partitions are being assigned or tables recovered")]
        return [] if self._app.started else [Problem("start", "not started yet")]
