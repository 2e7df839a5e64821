"""How long is a worker away that is killed? With the folder of its tables, or without, as on a new node."""

import shutil
import time
from dataclasses import dataclass

from cli.local import LocalPipeline
from tests.chaos.scrape import scrape

READY_TIMEOUT_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """``ready_s``: from SIGKILL until its successor is ready; ``takeover_s``: of that, since it was assigned."""

    ready_s: float
    takeover_s: float


def kill_and_wait(pipeline: LocalPipeline, name: str, *, keep_folder: bool) -> Recovery:
    """Raises WorkersFailed where it does not come back."""
    worker = pipeline.supervisor.workers[name]
    lost = worker.data_dir.with_name(f"{name}.lost")
    if not keep_folder:
        # Whoever is killed goes on writing there for an instant, whoever is started in its place finds nothing.
        worker.data_dir.rename(lost)
    starts, began = worker.starts, time.monotonic()
    pipeline.supervisor.kill(name)
    while worker.starts == starts:
        time.sleep(0.01)
    pipeline.supervisor.wait_until_ready(READY_TIMEOUT_S)
    ready_s = time.monotonic() - began
    shutil.rmtree(lost, ignore_errors=True)
    return Recovery(ready_s=ready_s, takeover_s=scrape(worker.http_port).total("herald_takeover_seconds"))
