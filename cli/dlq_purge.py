"""``herald dlq purge``: delete what is over from the front of the dead-letter topic. There is no way back."""

import socket
import sys
from datetime import datetime

import click
import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import topics
from cli.dlq_options import Moment
from cli.dlq_reader import CannotRead, scan
from cli.dlq_records import operator
from observability import logging
from pipeline.deadletters import Place
from pipeline.dlq_purge import PartitionPurge, Stop, plan_purge
from pipeline.times import to_ms
from settings import Settings

DELETE_TIMEOUT_S = 30.0

log = structlog.get_logger(__name__)


@click.command()
@click.option(
    "--before", type=Moment(), required=True, help="What died longer ago than 7d, or before an ISO 8601 time."
)
@click.option("--open-too", is_flag=True, help="Also what was neither replayed nor parked.")
@click.option("--yes/--dry-run", "yes", default=False, help="Do it, or only say what would be done (the default).")
@click.option("--confirm", metavar="TOPIC", help="The topic's name, instead of typing it at a terminal.")
def purge(before: datetime, open_too: bool, yes: bool, confirm: str | None) -> None:
    """Delete old dead letters for good, as far as Kafka can: each partition from its front up to the first that stays.

    What stays: what is not old enough, and what nobody has replayed or parked.
    """
    settings = Settings()
    plan = _plan(settings, to_ms(before), open_too)
    console = Console()
    console.print(plan_table(plan))
    letters = sum(one.letters.total() for one in plan)
    if not yes:
        console.print(f"Nothing was done: --yes deletes {letters} dead letters.")
        return
    if not any(one.deletes for one in plan):
        console.print("There is nothing to delete.")
        return
    _confirm(confirm, letters)
    _delete(settings, plan)
    _log(settings, plan, before, open_too)
    console.print(f"{letters} dead letters deleted.")


def _plan(settings: Settings, before_ms: int, open_too: bool) -> list[PartitionPurge]:
    places: list[Place] = []
    try:
        found = scan(settings.kafka, settings.start_timeout_s, lambda letter: places.append(letter.place))
    except CannotRead as error:
        raise click.ClickException(str(error)) from error
    return plan_purge(places, found.marks, found.bounds, before_ms=before_ms, open_too=open_too)


def plan_table(plan: list[PartitionPurge]) -> Table:
    table = Table(title=f"front of {topics.DLQ}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("partition", "deletes", "reasons", "of them open", "stays", "stops at", "why"):
        table.add_column(name)
    for one in plan:
        reasons = ", ".join(f"{count} {reason}" for reason, count in one.letters.most_common())
        stop = f"{one.partition}-{one.upto}" if one.stop else "its end"
        counts = (str(one.letters.total()), reasons, str(one.still_open), str(one.staying))
        table.add_row(str(one.partition), *counts, stop, one.stop or "")
    if any(one.stop is Stop.OPEN for one in plan):
        table.caption = "Replay or park what is open, or let it go, too: --open-too"
    return table


def _confirm(confirm: str | None, letters: int) -> None:
    """Raises UsageError unless somebody means it: there is no way back."""
    if confirm is None and sys.stdin.isatty():
        confirm = click.prompt(f"This deletes {letters} dead letters for good. Type the topic's name")
    if confirm != topics.DLQ:
        raise click.UsageError(f"nothing was deleted: confirm it by the topic's name, --confirm {topics.DLQ}")


def _delete(settings: Settings, plan: list[PartitionPurge]) -> None:
    """Raises ClickException; what it names was not deleted, the rest was."""
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    fronts = [TopicPartition(topics.DLQ, one.partition, one.upto) for one in plan if one.deletes]
    failures = []
    for front, deleted in admin.delete_records(fronts, request_timeout=DELETE_TIMEOUT_S).items():
        try:
            deleted.result(DELETE_TIMEOUT_S)
        except KafkaException as error:
            failures.append(f"partition {front.partition}: {error.args[0].str()}")
    if failures:
        raise click.ClickException(f"Kafka at {settings.kafka}: {'; '.join(failures)}")


def _log(settings: Settings, plan: list[PartitionPurge], before: datetime, open_too: bool) -> None:
    """On stderr: a deletion belongs where the logs are kept."""
    logging.configure(settings.log_level, settings.log_format, "operator", socket.gethostname(), stream=sys.stderr)
    log.warning(
        "dead letters purged",
        **{
            "event.action": "dlq-purge",
            "user.name": operator(),
            "labels.before": before,
            "labels.open_too": open_too,
            "labels.dead_letters": sum(one.letters.total() for one in plan),
            "labels.upto": {str(one.partition): one.upto for one in plan if one.deletes},
        },
    )
