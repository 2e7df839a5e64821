"""``herald run``: every role on this machine, for those who try it out or need no more."""

import signal
import time
from pathlib import Path

import click

from cli.supervisor import Supervisor, WorkersFailed
from settings import Role

READY_TIMEOUT_S = 120.0


@click.command()
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="Only these; repeatable."
)
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".herald/run"), show_default=True
)
def run(roles: tuple[str, ...], folder: Path) -> None:
    """Run the workers of all roles, a process each, until Ctrl-C."""
    supervisor = Supervisor([Role(role) for role in roles] or list(Role), environment={}, folder=folder.absolute())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        supervisor.start()
        supervisor.wait_until_ready(READY_TIMEOUT_S)
        for worker in supervisor.workers.values():
            click.echo(f"{worker.name:<12} ready, {worker.url}, log {worker.log_path}")
        while supervisor.failure is None:
            time.sleep(1)
        raise WorkersFailed(supervisor.failure)
    except WorkersFailed as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopping")
    finally:
        supervisor.stop()
