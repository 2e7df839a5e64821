"""How does a Faust worker keep our logs? By leaving logging, and stdout, alone."""

from typing import Any

from faust.types import AppT
from faust.worker import Worker as FaustWorker


class Worker(FaustWorker):
    """For ``faust.App(Worker=...)``; logging is what `observability.logging.configure` made it.

    Faust's own start-up replaces the handlers of the root logger, has ``print`` write through them, and shows a spinner
    for which it opens every logger at ``DEBUG``. So ``-l`` and ``-f`` on Faust's command line have no effect:
    ``HERALD_LOG_LEVEL`` and ``HERALD_LOG_FORMAT`` say what is logged.
    """

    def __init__(self, app: AppT, *services: Any, **options: Any) -> None:
        super().__init__(app, *services, **{**options, "override_logging": False, "redirect_stdouts": False})
        self.spinner = None
