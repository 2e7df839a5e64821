"""``herald dlq park``: leave dead letters alone on purpose, and say why; ``unpark`` takes that back."""

import click

from cli.dlq_found import find, in_state
from cli.dlq_options import Id, refuse_everything, selecting
from cli.dlq_plan import by_subject, mark_record
from cli.dlq_records import operator, write
from pipeline.deadletters import DeadLetter, Selection
from pipeline.dlq_marks import Act
from settings import Settings
from streaming.producer import ProduceFailed, Record


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=Id())
@selecting
@click.option("--why", required=True, metavar="TEXT", help="For whoever looks at it next.")
def park(ids: tuple[str, ...], selection: Selection, why: str) -> None:
    """Leave dead letters alone: not listed and not replayed unless asked for. Nothing of them is deleted.

    By their IDs, or all that the filters leave.
    """
    if not why.strip():
        raise click.UsageError("--why must say something")
    _mark(selection, Act.PARKED, why=why.strip())


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=Id())
@selecting
def unpark(ids: tuple[str, ...], selection: Selection) -> None:
    """Take up again what was parked: by IDs, or all that the filters leave."""
    _mark(selection, Act.UNPARKED)


def _mark(selection: Selection, act: Act, *, why: str = "") -> None:
    """What is in that state already is left as it is."""
    refuse_everything(selection)
    settings = Settings()
    found = find(settings, selection, with_values=False)
    meant = in_state(found, parked=act is Act.UNPARKED).letters
    subjects = by_subject(meant)
    _write(settings, [mark_record(same[0], act, operator(), why=why) for same in subjects.values()])
    click.echo(_said(act, meant, already=len(found.letters) - len(meant)))


def _write(settings: Settings, records: list[Record]) -> None:
    try:
        write(settings.kafka, records)
    except ProduceFailed as error:
        raise click.ClickException(f"Kafka at {settings.kafka}: {error}; not all are marked, run it again") from error


def _said(act: Act, meant: list[DeadLetter], *, already: int) -> str:
    left = {Act.PARKED: "were parked before", Act.UNPARKED: "are not parked"}[act]
    return f"{len(meant)} dead letters {act}" + (f", {already} {left}" if already else "")
