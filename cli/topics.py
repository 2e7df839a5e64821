"""``herald topics``: the topics that the pipeline needs, created with their partitions and retention."""

from dataclasses import dataclass

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic, TopicMetadata
from rich.console import Console
from rich.table import Table

import topics as names
from settings import Settings

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Made:
    """What is now true of one topic; ``problem`` is what keeps it from serving."""

    topic: names.Topic
    new: bool
    problem: str | None = None


def create_topics(settings: Settings) -> list[Made]:
    """Create what is missing; topics that are there are checked, never changed. Raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    there = admin.list_topics(timeout=TIMEOUT_S).topics
    wanted = names.all_topics(settings.retry_tiers_s, settings.seen_for_s)
    new = [
        NewTopic(
            one.name,
            settings.partitions,
            settings.replication_factor,
            config=one.config,
        )
        for one in wanted
        if one.name not in there
    ]
    if new:
        for created in admin.create_topics(new, operation_timeout=TIMEOUT_S).values():
            created.result(TIMEOUT_S)
    return [Made(one, new=one.name not in there, problem=_problem(settings, there.get(one.name))) for one in wanted]


def _problem(settings: Settings, there: TopicMetadata | None) -> str | None:
    if there is None or len(there.partitions) == settings.partitions:
        return None
    found = len(there.partitions)
    return f"has {found} partitions, HERALD_PARTITIONS says {settings.partitions}: tables need them equal"


@click.group()
def topics() -> None:
    """The topics that the pipeline needs."""


@topics.command()
def create() -> None:
    """Create the topics that are missing; exit code 1 where one that is there does not fit."""
    settings = Settings()
    try:
        made = create_topics(settings)
    except KafkaException as error:
        raise click.ClickException(f"Kafka at {settings.kafka}: {error.args[0].str()}") from error
    table = Table("topic", "key", "partitions", "state")
    for one in made:
        state = f"[red]{one.problem}[/]" if one.problem else "[green]created[/]" if one.new else "there"
        table.add_row(one.topic.name, one.topic.key, str(settings.partitions), state)
    Console().print(table)
    if any(one.problem for one in made):
        raise SystemExit(1)
