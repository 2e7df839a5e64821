"""``herald topics``: the topics that the pipeline needs, created with their partitions and retention."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, TopicMetadata
from rich.console import Console
from rich.table import Table

import topics as names
from cli.kafka import ANSWER_S, problem_of, settings_of
from settings import Settings

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Made:
    """What is now true of one topic; ``problem`` is what keeps it from serving.

    ``misfits`` are settings that it should have otherwise, ``altered`` says that it now has.
    """

    topic: names.Topic
    new: bool
    problem: str | None = None
    misfits: tuple[names.Misfit, ...] = ()
    altered: bool = False

    def state(self) -> str:
        if self.problem:
            return f"[red]{self.problem}[/]"
        if self.misfits and not self.altered:
            return f"[yellow]there; {'; '.join(map(str, self.misfits))}[/]"
        return "[green]created[/]" if self.new else "[green]altered[/]" if self.altered else "there"


def create_topics(settings: Settings, *, alter: bool = False) -> list[Made]:
    """Create what is missing; of what is there, settings that do not serve are put right with ``alter`` alone.

    Raises KafkaException.
    """
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    there = admin.list_topics(timeout=ANSWER_S).topics
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
    misfits = _misfits(admin, [one for one in wanted if one.name in there])
    if alter and misfits:
        changes = [_change(name, some) for name, some in misfits.items()]
        for changed in admin.incremental_alter_configs(changes, request_timeout=TIMEOUT_S).values():
            changed.result(TIMEOUT_S)
    return [
        Made(
            one,
            new=one.name not in there,
            problem=_problem(settings, there.get(one.name)),
            misfits=tuple(misfits.get(one.name, ())),
            altered=alter and one.name in misfits,
        )
        for one in wanted
    ]


def _misfits(admin: AdminClient, there: Sequence[names.Topic]) -> dict[str, list[names.Misfit]]:
    """By topic, where there are any."""
    by_resource = {ConfigResource(ConfigResource.Type.TOPIC, one.name): one for one in there}
    answers = admin.describe_configs(list(by_resource), request_timeout=TIMEOUT_S) if by_resource else {}
    found = {
        one.name: by_resource[one].misfits(settings_of(answer.result(TIMEOUT_S))) for one, answer in answers.items()
    }
    return {name: some for name, some in found.items() if some}


def _change(topic: str, misfits: Sequence[names.Misfit]) -> ConfigResource:
    settings = [ConfigEntry(one.setting, one.wanted, incremental_operation=AlterConfigOpType.SET) for one in misfits]
    return ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=settings)


def _problem(settings: Settings, there: TopicMetadata | None) -> str | None:
    if there is None or len(there.partitions) == settings.partitions:
        return None
    found = len(there.partitions)
    return f"has {found} partitions, HERALD_PARTITIONS says {settings.partitions}: tables need them equal"


@click.group()
def topics() -> None:
    """The topics that the pipeline needs."""


@topics.command()
@click.option("--alter", is_flag=True, help="Put the settings right of those that are there, such as retention.ms.")
def create(alter: bool) -> None:
    """Create the topics that are missing; exit code 1 where one that is there does not fit."""
    settings = Settings()
    try:
        made = create_topics(settings, alter=alter)
    except KafkaException as error:
        raise click.ClickException(problem_of(settings.kafka, error)) from error
    table = Table("topic", "key", "partitions", "state")
    for one in made:
        table.add_row(one.topic.name, one.topic.key, str(settings.partitions), one.state())
    console = Console()
    console.print(table)
    if any(one.misfits and not one.altered for one in made):
        console.print("Settings that are not as they should be are left alone without --alter.")
    if any(one.problem for one in made):
        raise SystemExit(1)
