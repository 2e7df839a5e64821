"""``herald migrate``: the Postgres schema, by Liquibase."""

import asyncio
import threading
from collections.abc import Sequence

import click

from cli.doctor_kafka import CannotAsk
from cli.doctor_probes import applied_changesets, known_changesets
from cli.retention import make_partitions
from cli.stack import MIGRATIONS, failures
from settings import Settings
from stack.given import check
from stack.liquibase import Liquibase
from stack.postgres import Postgres

ASK_TIMEOUT_S = 10.0


@click.command()
@click.option(
    "--rollback", type=click.IntRange(min=1), metavar="COUNT", help="Take the last changesets back instead, so many."
)
@click.option("--rollback-all", is_flag=True, help="Take every changeset back, and the data with it.")
def migrate(rollback: int | None, rollback_all: bool) -> None:
    """Bring the Postgres schema up to date, with partitions for the coming days."""
    if rollback is not None and rollback_all:
        raise click.UsageError("--rollback and --rollback-all: only one of them")
    dsn = Settings().postgres
    liquibase = Liquibase(dsn, MIGRATIONS)
    with failures():
        check(Postgres(), dsn, threading.Event())
        if rollback_all:
            click.confirm("This deletes every outcome in the database. Go on?", abort=True)
            liquibase.rollback_all()
        elif rollback is not None:
            click.echo("\n".join(["would be taken back:", *_last(dsn, rollback)]))
            click.confirm("What they have added goes, with what is in it. Go on?", abort=True)
            liquibase.rollback(rollback)
        else:
            liquibase.update()
            make_partitions(dsn)


def _last(dsn: str, count: int) -> Sequence[str]:
    """The last changesets that were run, the latest first. Raises ClickException where that would be all of them."""
    try:
        # With its own factory, the runner leaves the thread's current event loop as it is.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            applied = runner.run(applied_changesets(dsn, ASK_TIMEOUT_S))
    except CannotAsk as error:
        raise click.ClickException(f"HERALD_POSTGRES: {error}") from error
    if count >= len(applied):
        raise click.ClickException(f"there are {len(applied)} changesets; --rollback-all takes all of them back")
    last = applied[::-1][:count]
    # Liquibase passes over what it does not know, and would take back others instead.
    if unknown := set(last) - set(known_changesets()):
        raise click.ClickException(f"{', '.join(sorted(unknown))}: of a later release, whose command takes it back")
    return last
