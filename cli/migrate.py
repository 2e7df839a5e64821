"""``herald migrate``: the Postgres schema, by Liquibase."""

import click

from cli.stack import MIGRATIONS, failures
from settings import Settings
from stack.liquibase import Liquibase


@click.command()
@click.option("--rollback-all", is_flag=True, help="Take every changeset back, and the data with it.")
def migrate(rollback_all: bool) -> None:
    """Bring the Postgres schema up to date."""
    liquibase = Liquibase(Settings().postgres, MIGRATIONS)
    with failures():
        if rollback_all:
            click.confirm("This deletes every outcome in the database. Go on?", abort=True)
            liquibase.rollback_all()
        else:
            liquibase.update()
