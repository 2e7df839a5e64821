"""``herald``: every command of the project."""

import sys
from importlib import import_module

import click
from pydantic import ValidationError

from settings import problems_of

# Imported when called: a worker's image has no embedded servers, and starting a worker should not load them.
COMMANDS = {
    "demo": "cli.demo",
    "dlq": "cli.dlq",
    "doctor": "cli.doctor",
    "migrate": "cli.migrate",
    "publish": "cli.publish",
    "render": "cli.render",
    "retention": "cli.retention",
    "run": "cli.run",
    "stack": "cli.stack",
    "topics": "cli.topics",
    "worker": "cli.worker",
}


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        except ModuleNotFoundError as error:
            return _missing(cmd_name, error)
        return command


def _missing(name: str, error: ModuleNotFoundError) -> click.Command:
    """A runtime image has no embedded servers, and none of what stands on them."""

    @click.command(name, help="Needs the embedded servers: pip install 'cargo-herald[local]'.", add_help_option=False)
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def missing(rest: tuple[str, ...]) -> None:
        raise click.ClickException(f"herald {name} needs cargo-herald[local]: {error.name} is not installed")

    return missing


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cargo-herald")
def herald() -> None:
    """Cargo status events in; SMS, email and push out; every one accounted for."""


def main() -> None:
    try:
        herald()
    except ValidationError as error:
        click.echo(problems_of(error), err=True)
        sys.exit(2)
