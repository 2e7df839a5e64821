"""Which dead letters does a command mean? Those that fit its filters, and whose state is the one asked for."""

from dataclasses import replace

import click

import topics
from cli.dlq_reader import CannotRead, Contents, read_dead_letters
from pipeline.deadletters import DeadLetter, Selection
from pipeline.dlq_marks import NOTHING
from settings import Settings


def find(settings: Settings, selection: Selection, *, with_values: bool) -> Contents:
    """Raises ClickException, also for an id that is not there, or that the filters leave out."""
    there: set[str] = set()

    def wanted(letter: DeadLetter) -> bool:
        if letter.id in selection.ids:
            there.add(letter.id)
        return selection.matches(letter)

    try:
        found = read_dead_letters(settings.kafka, settings.start_timeout_s, wanted, with_values=with_values)
    except CannotRead as error:
        raise click.ClickException(str(error)) from error
    if missing := selection.ids - {letter.id for letter in found.letters}:
        problems = [f"{id} is there, but the filters leave it out" for id in sorted(missing & there)]
        if gone := sorted(missing - there):
            problems.append(f"{topics.DLQ} has no such dead letter: {', '.join(gone)}")
        raise click.ClickException("; ".join(problems))
    return found


def in_state(found: Contents, *, parked: bool, replayed: bool | None = None) -> Contents:
    """Those that are parked, or those that are not; of them all, or those that were replayed or were not."""

    def fits(subject: str) -> bool:
        history = found.histories.get(subject, NOTHING)
        return (history.parked is not None) is parked and replayed in (None, history.replays > 0)

    return replace(found, letters=[letter for letter in found.letters if fits(letter.subject)])
