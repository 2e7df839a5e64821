"""``herald migrate``: the Postgres schema, by Liquibase."""

import threading

import click

from cli.retention import make_partitions
from cli.stack import MIGRATIONS, failures
from settings import Settings
from stack.given import check
from stack.liquibase import Liquibase
from stack.postgres import Postgres


@click.command()
@click.option("--rollback-all", is_flag=True, help="Take every changeset back, and the data with it.")
def migrate(rollback_all: bool) -> None:
    """Bring the Postgres schema up to date, with partitions for the coming days."""
    dsn = Settings().postgres
    liquibase = Liquibase(dsn, MIGRATIONS)
    with failures():
        check(Postgres(), dsn, threading.Event())
        if rollback_all:
            click.confirm("This deletes every outcome in the database. Go on?", abort=True)
            liquibase.rollback_all()
        else:
            liquibase.update()
            make_partitions(dsn)
