"""Does Kafka answer, and has it the topic that a command needs? Said at once, and in the user's words."""

from collections.abc import Mapping

import click
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry

ANSWER_S = 10.0
AWAY = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE})


def require_topic(kafka: str, topic: str) -> None:
    """Blocks for `ANSWER_S` at most; raises ClickException."""
    try:
        there = AdminClient({"bootstrap.servers": kafka, "log_level": 0}).list_topics(timeout=ANSWER_S).topics
    except KafkaException as error:
        raise click.ClickException(problem_of(kafka, error)) from error
    if topic not in there:
        raise click.ClickException(missing(topic))


def missing(topic: str) -> str:
    return f"{topic} is not there: herald topics create"


def problem_of(kafka: str, error: KafkaException) -> str:
    code = error.args[0].code()
    return (
        f"Kafka at {kafka} (HERALD_KAFKA) does not answer"
        if code in AWAY
        else f"Kafka at {kafka}: {error.args[0].str()}"
    )


def settings_of(entries: Mapping[str, ConfigEntry]) -> dict[str, str]:
    """The settings of a topic, as Kafka describes them."""
    return {name: entry.value or "" for name, entry in entries.items()}
