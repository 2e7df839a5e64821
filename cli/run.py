"""``herald run``: every role on this machine, for those who try it out or need no more."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import click

from cli.guard import refuse_where_they_work
from cli.stack import failures
from cli.supervisor import Supervisor, Worker, WorkersFailed
from cli.worker_log import last_warning
from settings import Role, Settings
from stack.lockfile import alone

LOOK_EVERY_S = 0.2
SLOW_START_S = 10.0


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
    with failures(), alone(folder / "lock", "herald run"):
        _refuse_push_without_key(settings, wanted)
        refuse_where_they_work(settings.kafka, wanted, settings.session_timeout_s)
        _run(wanted, folder.absolute())


def _run(wanted: Sequence[Role], folder: Path) -> None:
    supervisor = Supervisor(wanted, environment={}, folder=folder)
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


def _refuse_push_without_key(settings: Settings, wanted: Sequence[Role]) -> None:
    """Raises ClickException: its worker would end again and again, and all with it."""
    if Role.SEND_PUSH in wanted and settings.fcm_credentials is None:
        others = " ".join(f"--role {role}" for role in wanted if role is not Role.SEND_PUSH)
        raise click.ClickException(
            "send-push needs HERALD_FCM_CREDENTIALS, which is not set; to leave it out, name the others: "
            f"herald run {others}"
        )


def _watch(supervisor: Supervisor) -> None:
    """Tell of each worker once it is ready, and what keeps one that is not. Raises WorkersFailed when one has ended too
    often.

    One that is not ready stops nobody: it may read a long table, or have halted, and to start it again would harm.
    """
    coming = list(supervisor.workers.values())
    told: dict[str, str] = {}
    look_at = time.monotonic() + SLOW_START_S
    while supervisor.failure is None:
        for worker in [one for one in coming if supervisor.is_ready(one)]:
            coming.remove(worker)
            click.echo(f"{worker.name:<12} ready, pid {worker.pid}, {worker.url}, log {worker.log_path}")
        if time.monotonic() >= look_at:
            for worker in coming:
                _tell_why(worker, told)
            look_at = time.monotonic() + SLOW_START_S
        time.sleep(LOOK_EVERY_S)
    raise WorkersFailed(supervisor.failure)


def _tell_why(worker: Worker, told: dict[str, str]) -> None:
    """Once, until it warns of something else."""
    why = last_warning(worker.log_path, worker.log_begins) or f"no warning in {worker.log_path} yet"
    if told.get(worker.name) != why:
        told[worker.name] = why
        click.echo(f"{worker.name:<12} not ready, pid {worker.pid}: {why}", err=True)
