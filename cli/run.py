"""``herald run``: every role on this machine, for those who try it out or need no more."""

import math
import signal
import time
from pathlib import Path

import click

from cli.guard import refuse_where_one_runs, refuse_where_they_work
from cli.supervisor import Supervisor, WorkersFailed
from settings import Role, Settings

LOOK_EVERY_S = 0.2
SLOW_START_S = 120.0


@click.command()
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="Only these; repeatable."
)
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".herald/run"), show_default=True
)
def run(roles: tuple[str, ...], folder: Path) -> None:
    """Run the workers of all roles, a process each, until Ctrl-C."""
    settings = Settings()
    wanted = [Role(role) for role in roles] or list(Role)
    refuse_where_one_runs(folder, "herald run")
    refuse_where_they_work(settings.kafka, wanted, settings.session_timeout_s)
    supervisor = Supervisor(wanted, environment={}, folder=folder.absolute())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        supervisor.start()
        _watch(supervisor)
    except WorkersFailed as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopping")
    finally:
        supervisor.stop()


def _watch(supervisor: Supervisor) -> None:
    """Tell of each worker once it is ready. Raises WorkersFailed when one has ended too often.

    One that is not ready stops nobody: it may read a long table, or have halted, and to start it again would harm.
    """
    coming = list(supervisor.workers.values())
    slow_at = time.monotonic() + SLOW_START_S
    while supervisor.failure is None:
        for worker in [one for one in coming if supervisor.is_ready(one)]:
            coming.remove(worker)
            click.echo(f"{worker.name:<12} ready, {worker.url}, log {worker.log_path}")
        if coming and time.monotonic() >= slow_at:
            names = ", ".join(worker.name for worker in coming)
            click.echo(f"not ready after {SLOW_START_S:.0f} s: {names}; herald doctor says why", err=True)
            slow_at = math.inf
        time.sleep(LOOK_EVERY_S)
    raise WorkersFailed(supervisor.failure)
