"""``herald dlq``: what could not be done, why, and another try once the cause is gone."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from cli import dlq_replay_view, dlq_view
from cli.dlq_found import find, in_state
from cli.dlq_options import Id, asks_for_doubt, refuse_everything, selecting
from cli.dlq_park import park, unpark
from cli.dlq_plan import Replay, make_plan
from cli.dlq_purge import purge
from cli.dlq_records import operator, with_producer
from cli.dlq_replay import Done, replay_all
from pipeline.deadletters import Selection
from pipeline.dlq_marks import NOTHING
from settings import Settings
from streaming.producer import RecordSink


@click.group()
def dlq() -> None:
    """The dead letters: what could not be done, and why."""


dlq.add_command(park)
dlq.add_command(unpark)
dlq.add_command(purge)


@dlq.command("list")
@selecting
@click.option("--parked", is_flag=True, help="What is parked, instead of what is not.")
@click.option("--replayed/--not-replayed", default=None, help="Only what was replayed, or was not; default: both.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for scripts.")
def list_letters(selection: Selection, parked: bool, replayed: bool | None, limit: int, as_json: bool) -> None:
    """Dead letters, the newest first, without addresses and texts."""
    found = in_state(find(Settings(), selection, with_values=False), parked=parked, replayed=replayed)
    newest = found.letters[: -limit - 1 : -1]
    if as_json:
        for letter in newest:
            click.echo(msgspec.json.encode(dlq_view.line(letter, found.histories.get(letter.subject, NOTHING))))
        return
    console = Console()
    if newest:
        console.print(dlq_view.list_table(newest, found.histories, console.width))
        console.print(dlq_view.common_errors(found.letters), end="\n\n")
    console.print(dlq_view.counts(found.letters, found.histories, len(newest)))


@dlq.command()
@click.argument("letter_id", metavar="ID", type=Id())
@click.option("--unmasked", is_flag=True, help="With addresses and texts.")
def show(letter_id: str, unmasked: bool) -> None:
    """Everything about one dead letter, and what was done with it."""
    found = find(Settings(), Selection(ids={letter_id}), with_values=True)
    (letter,) = found.letters
    dlq_view.show(Console(), letter, found.histories.get(letter.subject, NOTHING), unmasked=unmasked)


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=Id())
@selecting
@click.option("--yes/--dry-run", "yes", default=False, help="Do it, or only say what would be done (the default).")
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@click.option("--parked", is_flag=True, help="What is parked, instead of what is not.")
@click.option("--rate", type=click.IntRange(min=1), default=100, show_default=True, help="A second, at most.")
def replay(ids: tuple[str, ...], selection: Selection, yes: bool, again: bool, parked: bool, rate: int) -> None:
    """Give dead letters another try: input goes back to its topic, a notification is told under a new id.

    By their IDs, or all that the filters leave, without what died in doubt unless it is asked for by its ID or
    --reason in-doubt. What was replayed is marked, and left out the next time; what is parked is left out, too. Exit
    code 1 if a replay failed.
    """
    refuse_everything(selection)
    settings = Settings()
    found = find(settings, selection, with_values=True)
    plan = make_plan(
        found.letters,
        found.histories,
        again=again,
        parked=parked,
        in_doubt=asks_for_doubt(selection),
        seen_since_ms=round(1_000 * (time.time() - settings.seen_for_s)),
    )
    console = Console()
    if not yes:
        if found.letters:
            console.print(dlq_replay_view.plan_table(plan))
            console.print(dlq_replay_view.plan_counts(plan))
        console.print(dlq_replay_view.preview(plan))
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


def _replay(
    kafka: str, replays: Sequence[Replay], rate: int, on_done: Callable[[Done], None], console: Console
) -> None:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("replaying", total=len(replays))

        def count(done: Done) -> None:
            on_done(done)
            progress.advance(task)

        async def work(out: RecordSink) -> None:
            await replay_all(
                replays, out, by=operator(), per_second=rate, clock=lambda: datetime.now(UTC), on_done=count
            )

        with_producer(kafka, work)
