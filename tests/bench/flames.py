"""Where does the time go? ``python -m tests.bench.flames``, or ``make bench-flames``: a flame graph of each busy role.

What a comparison gives to Cargo Herald, once, with py-spy beside each of the roles that work. It samples the thread
that holds the interpreter: C is seen as the line that calls it, and what lets go of the interpreter is not in the
picture. Figures of such a run are of no use, so none are kept. py-spy has to be allowed to look into other processes;
as root it is.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from settings import Role
from tests.bench.compare import sides
from tests.bench.measure import measure
from tests.bench.output import HOME, IMAGES, record_option, refuse_other_options
from tests.bench.report import console
from tests.bench.servers import bench_servers
from tests.bench.summary import HERALD
from tests.bench.work import status_events

SAMPLES_PER_S = 200
END_TIMEOUT_S = 30.0
ROLES = (Role.ENRICH, Role.SEND_SMS, Role.SINK)


@contextmanager
def watched(pid: int, role: Role, path: Path) -> Iterator[None]:
    """The picture is there afterwards. Raises ClickException where py-spy may not look."""
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--gil", "--rate", str(SAMPLES_PER_S)]
    command += ["--pid", str(pid), "--output", str(path)]
    log = path.with_suffix(".log")
    with log.open("wb") as told:
        profiler = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
    try:
        yield
        profiler.send_signal(signal.SIGINT)
        if profiler.wait(END_TIMEOUT_S):
            raise click.ClickException(f"py-spy could not look into {role}: {log.read_text(errors='replace')[-300:]}")
        # Its title is the command, with the paths of this machine.
        path.write_text(path.read_text(encoding="utf-8").replace(" ".join(command), role), encoding="utf-8")
    finally:
        profiler.kill()
        profiler.wait()


@click.command()
@click.option("--events", default=40_000, show_default=True, help="Status events; three notifications each.")
@record_option
def flames(events: int, record: bool) -> None:
    """Draw where the roles that work spend their time."""
    refuse_other_options(record)
    out, home = console(), HOME.absolute()
    home.mkdir(parents=True, exist_ok=True)
    with (
        bench_servers(home / "stack") as servers,
        servers.clean_slate() as endpoints,
        sides(home)[HERALD](endpoints) as side,
        ExitStack() as profilers,
    ):
        out.print(f"{events:,} events, with a profiler beside {', '.join(ROLES)}")
        for role in ROLES:
            profilers.enter_context(watched(side.workers[role], role, home / f"flames-{role}.svg"))
        run = asyncio.run(measure(side, servers, list(status_events("flames", events))))
    fails = bool(run.lost or run.duplicates)
    for role in ROLES:
        picture = home / f"flames-{role}.svg"
        if record and not fails:
            picture = picture.rename(IMAGES / picture.name)
        out.print(f"flames:  {picture}")
    sys.exit(fails)


if __name__ == "__main__":
    flames()
