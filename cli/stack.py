"""``herald stack``: Kafka, PostgreSQL and Valkey on this machine, for those who develop."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress as Display
from rich.progress import SpinnerColumn, TextColumn

from cli.retention import make_partitions
from settings import Settings
from stack import Endpoints, OnProgress, Progress, ServerName, Stack, StackError
from stack.liquibase import ROOT_CHANGELOG, Liquibase

MIGRATIONS = Path(__file__).parent.parent / "storage" / "migrations"

_HOME = Path(".herald/stack")
_home_option = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), default=_HOME, show_default=True, help="Data and logs."
)


@click.group()
def stack() -> None:
    """Kafka, PostgreSQL and Valkey on this machine."""


@stack.command()
@_home_option
def up(home: Path) -> None:
    """Start what does not run, migrate the schema, print what to export."""
    with failures(), shown_progress() as on_progress:
        endpoints = Stack(home, given=given_servers(Settings()), on_progress=on_progress).up()
    prepare(endpoints)
    for name, value in endpoints.environment().items():
        click.echo(f"export {name}={value}")


@stack.command()
@_home_option
@click.option("--wipe", is_flag=True, help="Delete the data and logs, too.")
def down(home: Path, wipe: bool) -> None:
    """Stop what `up` started."""
    with failures():
        Stack(home).down(wipe=wipe)


@stack.command()
@_home_option
def status(home: Path) -> None:
    """Which servers answer, and where; exit code 1 when one does not."""
    with failures():
        states = Stack(home, given=given_servers(Settings())).status()
    for one in states:
        process = f"pid {one.pid}" if one.pid else ""
        click.echo(f"{one.server:<9} {one.problem or 'answers':<16} {one.address or '':<56} {process}".rstrip())
    if any(one.problem for one in states):
        sys.exit(1)


def given_servers(settings: Settings) -> Mapping[ServerName, str]:
    """The servers that the environment names; the others are ours to start."""
    return {name: getattr(settings, name) for name in ServerName if name in settings.model_fields_set}


def prepare(endpoints: Endpoints) -> None:
    """Bring fresh servers to where a worker can start."""
    if (MIGRATIONS / ROOT_CHANGELOG).exists():
        with failures():
            Liquibase(endpoints.postgres, MIGRATIONS).update()
        make_partitions(endpoints.postgres)


@contextmanager
def failures() -> Iterator[None]:
    """A StackError is the user's to read, not a stack trace."""
    try:
        yield
    except StackError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """A spinner per server on a terminal, a line per step elsewhere; on stderr, so that stdout can be sourced."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.fields[server]:<9} {task.description}"))
    with Display(*columns, TextColumn("[dim]{task.fields[seconds]:.1f} s"), console=console) as display:
        tasks = {name: display.add_task("", server=name.value, seconds=0.0, total=1) for name in ServerName}

        def show(progress: Progress) -> None:
            display.update(
                tasks[progress.server],
                description=progress.text,
                seconds=progress.seconds,
                completed=1 if progress.done else 0,
            )

        yield show


def _lines() -> OnProgress:
    """A step is told once, without what changes in it."""
    told: dict[ServerName, str] = {}

    def tell(progress: Progress) -> None:
        if told.get(progress.server) != progress.step:
            told[progress.server] = progress.step
            click.echo(str(progress), err=True)

    return tell
