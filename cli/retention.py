"""``herald retention``: partitions of the Postgres tables, made ahead of time and dropped when they are old."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.errors import StorageUnavailable
from pipeline.retention import AHEAD, RetentionPolicy
from settings import Settings
from storage.partitions import Act, Step, carry_out, opened, plan

UNMIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)

DONE = {Act.MAKE: "made", Act.DROP: "dropped", Act.DELETE_ROWS: "rows deleted"}
PLANNED = {Act.MAKE: "would be made", Act.DROP: "would be dropped", Act.DELETE_ROWS: "rows would be deleted"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
def retention(dry_run: bool) -> None:
    """Make the partitions of the coming days, and drop those that are older than HERALD_RETENTION_DAYS.

    For once a day; twice does no harm, nor do two at once. Exit code 1 where something could not be done now.
    """
    settings = Settings()
    now = datetime.now(UTC)
    policy = policy_of(settings)
    steps = keep_up(settings.postgres, policy, now, dry_run=dry_run)
    console = Console()
    if steps:
        console.print(steps_table(steps, PLANNED if dry_run else DONE))
    console.print(
        f"{'nothing to do; ' if not steps else ''}partitions up to {now + AHEAD:%Y-%m-%d}, "
        f"rows from {policy.oldest(now):%Y-%m-%d} on are kept"
    )
    if any(step.problem for step in steps):
        raise SystemExit(1)


def policy_of(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(keep_days=settings.retention_days, step_days=settings.retention_step_days)


def make_partitions(dsn: str) -> None:
    """Those of the coming days; nothing is dropped. Blocks; raises ClickException."""
    keep_up(dsn, policy_of(Settings()), datetime.now(UTC), only=Act.MAKE)


def keep_up(
    dsn: str, policy: RetentionPolicy, now: datetime, *, dry_run: bool = False, only: Act | None = None
) -> list[Step]:
    """What was done, or with ``dry_run`` would be. Blocks; raises ClickException."""

    async def run() -> list[Step]:
        async with opened(dsn, alone=not dry_run) as partitions:
            steps = [step for step in await plan(partitions, policy, now) if only in (None, step.act)]
            return steps if dry_run else await carry_out(partitions, steps, policy.oldest(now))

    try:
        # With its own factory, the runner leaves the thread's current event loop as it is.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(run())
    except StorageUnavailable as error:
        hint = "; has herald migrate been run?" if isinstance(error.__cause__, UNMIGRATED) else ""
        raise click.ClickException(f"{error}{hint}") from error


def steps_table(steps: Sequence[Step], words: dict[Act, str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("partition", "from", "until"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("state", overflow="fold")
    for step in steps:
        span = (f"{step.span.since:%Y-%m-%d}", f"{step.span.until:%Y-%m-%d}") if step.span else ("", "")
        state = f"[red]not done: {step.problem}[/]" if step.problem else words[step.act]
        table.add_row(step.partition, *span, f"{step.rows:,}" if step.rows else "", state)
    return table
