"""``herald worker``: one role in this process."""

import os
import sys

import click

from settings import Role


def worker_command() -> list[str]:
    """Faust's own command line, without its banner, which is no JSON, and without its web server."""
    return [sys.executable, "-m", "faust", "-q", "-A", "app", "-L", "uvloop", "worker", "--without-web"]


@click.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Instead of HERALD_ROLE.")
def worker(role: str | None) -> None:
    """Run the worker of one role in this process (the same as `faust -A app worker`)."""
    if role is not None:
        os.environ["HERALD_ROLE"] = role
    command = worker_command()
    os.execv(command[0], command)
