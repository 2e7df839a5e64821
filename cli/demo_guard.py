"""Is the Kafka that somebody named free for a demo? Its workers join the groups that real ones have."""

import time

import click

import topics
from cli.doctor_kafka import CannotAsk, KafkaProbe
from settings import Role
from stack.given import public

# A worker that ended without a word counts as a member for as long as its session lasts, 10 s by default.
PATIENCE_S = 15.0
ASK_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.5


def refuse_where_others_work(kafka: str) -> None:
    """Raises ClickException where workers are there that would lose their notifications to the demo's simulators."""
    roles = {topics.group(role): role.value for role in Role}
    deadline = time.monotonic() + PATIENCE_S
    told = False
    while problem := _problem(kafka, roles):
        if time.monotonic() > deadline:
            raise click.ClickException(problem)
        if not told:
            click.echo(f"{public(kafka)} is not free for a demo; waiting {PATIENCE_S:g} s for it …")
            told = True
        time.sleep(LOOK_EVERY_S)


def _problem(kafka: str, roles: dict[str, str]) -> str | None:
    try:
        groups = KafkaProbe(kafka, ASK_TIMEOUT_S).groups(roles, ())
    except CannotAsk as error:
        return str(error)
    if not (working := [one.role for one in groups if one.members]):
        return None
    return (
        f"HERALD_KAFKA names {public(kafka)}, where workers are at work ({', '.join(working)}): the demo would take "
        "notifications from them and tell simulators. Unset HERALD_KAFKA, HERALD_POSTGRES and HERALD_REDIS for a demo "
        "with servers of its own."
    )
