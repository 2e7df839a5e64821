"""``herald dlq``: what could not be done, why, and another try once the cause is gone."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

import topics
from cli import dlq_replay_view, dlq_view
from cli.dlq_options import Id, selecting
from cli.dlq_plan import Replay, make_plan
from cli.dlq_reader import CannotRead, Contents, read_dead_letters
from cli.dlq_replay import Done, replay_all
from pipeline.deadletters import Selection
from settings import Settings
from streaming.producer import Producer


@click.group()
def dlq() -> None:
    """The dead letters: what could not be done, and why."""


@dlq.command("list")
@selecting
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for scripts.")
def list_letters(selection: Selection, limit: int, as_json: bool) -> None:
    """Dead letters, the newest first, without addresses and texts."""
    found = _read(Settings(), selection, with_values=False)
    newest = found.letters[: -limit - 1 : -1]
    if as_json:
        for letter in newest:
            click.echo(msgspec.json.encode(dlq_view.line(letter, found.replays.get(letter.subject, 0))))
        return
    console = Console()
    if newest:
        console.print(dlq_view.list_table(newest, found.replays, console.width))
    console.print(dlq_view.counts(found.letters, found.replays, len(newest)))


@dlq.command()
@click.argument("letter_id", metavar="ID", type=Id())
@click.option("--unmasked", is_flag=True, help="With addresses and texts.")
def show(letter_id: str, unmasked: bool) -> None:
    """Everything about one dead letter."""
    found = _read(Settings(), Selection(ids={letter_id}), with_values=True)
    (letter,) = found.letters
    dlq_view.show(Console(), letter, found.replays.get(letter.subject, 0), unmasked=unmasked)


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=Id())
@selecting
@click.option("--yes/--dry-run", "yes", default=False, help="Do it, or only say what would be done (the default).")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@click.option("--rate", type=click.IntRange(min=1), default=100, show_default=True, help="A second, at most.")
def replay(ids: tuple[str, ...], selection: Selection, yes: bool, again: bool, rate: int) -> None:
    """Give dead letters another try: input goes back to its topic, a notification is told under a new id.

    Without IDs, all that the filters leave. What was replayed is marked, and left out the next time. Exit code 1 if a
    replay failed.
    """
    settings = Settings()
    found = _read(settings, selection, with_values=True)
    plan = make_plan(found.letters, found.replays, again=again)
    console = Console()
    if not yes:
        if found.letters:
            console.print(dlq_replay_view.plan_table(plan))
            console.print(dlq_replay_view.plan_counts(plan))
        console.print(f"Nothing was done: --yes replays {len(plan.replays)}.")
        return
    results: list[Done] = []
    try:
        _replay(settings.kafka, plan.replays, rate, results.append, console)
    finally:
        # Also of what was interrupted: the operator must know how far it came.
        console.print(dlq_replay_view.results_table(results))
        console.print(dlq_replay_view.plan_counts(plan))
    failed = sum(done.error is not None for done in results)
    console.print(f"{len(results) - failed} replayed, {failed} failed, {len(plan.kept)} left as they are.")
    if failed:
        raise SystemExit(1)


def _read(settings: Settings, selection: Selection, *, with_values: bool) -> Contents:
    """Raises ClickException, also for an id that is not there."""
    try:
        found = read_dead_letters(settings.kafka, settings.start_timeout_s, selection.matches, with_values=with_values)
    except CannotRead as error:
        raise click.ClickException(str(error)) from error
    if missing := selection.ids - {letter.id for letter in found.letters}:
        raise click.ClickException(f"{topics.DLQ} has no such dead letter: {', '.join(sorted(missing))}")
    return found


def _replay(
    kafka: str, replays: Sequence[Replay], rate: int, on_done: Callable[[Done], None], console: Console
) -> None:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replaying", total=len(replays))

        def count(done: Done) -> None:
            on_done(done)
            progress.advance(task)

        async def run() -> None:
            producer = Producer(kafka, on_produced=lambda topic, records: None)
            producer.start()
            try:
                await replay_all(replays, producer, per_second=rate, clock=lambda: datetime.now(UTC), on_done=count)
            finally:
                await producer.stop()

        asyncio.run(run())
