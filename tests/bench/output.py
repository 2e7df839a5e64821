"""Where do figures go? Into a file for each benchmark, and the last line of stdout."""

from pathlib import Path

import click
import msgspec

HOME = Path(".herald/bench")


def keep(name: str, document: object) -> Path:
    """All of it, as JSON, in place of the last of that name."""
    HOME.mkdir(parents=True, exist_ok=True)
    path = HOME / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def print_last(figures: object) -> None:
    """One line of JSON, for machines."""
    click.echo(msgspec.json.encode(figures).decode())
