"""Is there room for workers here? Of two that join a group under one name each throws the other out, and neither works.

Where they have to do with different topics, both work, and share what was meant for one.
"""

import time
from collections.abc import Callable, Iterable

import click

import topics
from cli.doctor_kafka import CannotAsk, KafkaProbe
from pipeline.symptoms import GroupFacts
from settings import Role
from stack.given import public

# A worker that ended without a word counts as a member for as long as its session lasts, 10 s by default.
PATIENCE_S = 15.0
MARGIN_S = 5.0
ASK_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.5


def refuse_where_others_work(kafka: str) -> None:
    """Raises ClickException where workers are there that would lose their notifications to the demo's simulators."""

    def problem() -> str | None:
        try:
            groups = _groups(kafka, Role)
        except CannotAsk as error:
            return str(error)
        if not (working := [one.role for one in groups if one.members]):
            return None
        return (
            f"HERALD_KAFKA names {public(kafka)}, where workers are at work ({', '.join(working)}): the demo would "
            "take notifications from them and tell simulators. Unset HERALD_KAFKA, HERALD_POSTGRES and "
            "HERALD_REDIS for a demo with servers of its own."
        )

    _wait(problem, f"{public(kafka)} is not free for a demo", PATIENCE_S)


def refuse_where_they_work(kafka: str, roles: Iterable[Role], session_timeout_s: float) -> None:
    """Raises ClickException where workers with the ids that `herald run` gives those roles are members already.

    Where Kafka cannot be asked, the workers wait for it themselves.
    """
    wanted = list(roles)

    def problem() -> str | None:
        try:
            groups = _groups(kafka, wanted)
        except CannotAsk:
            return None
        if not (working := [one.role for one in groups if one.role in one.instances]):
            return None
        return (
            f"workers of these names are at work on Kafka at {public(kafka)}: {', '.join(working)}. Two of a name "
            "throw each other out, or share the work: stop the other herald run or demo, or name other roles with "
            "--role."
        )

    _wait(problem, f"{public(kafka)} still knows workers of these names", session_timeout_s + MARGIN_S)


def _groups(kafka: str, roles: Iterable[Role]) -> list[GroupFacts]:
    """Raises CannotAsk."""
    return KafkaProbe(kafka, ASK_TIMEOUT_S).groups(
        {topics.group(role): role.value for role in roles if role is not Role.API}, ()
    )


def _wait(find: Callable[[], str | None], notice: str, patience_s: float) -> None:
    """Until there is no problem, for so long. Raises ClickException with the last one."""
    deadline = time.monotonic() + patience_s
    told = False
    while problem := find():
        if time.monotonic() > deadline:
            raise click.ClickException(problem)
        if not told:
            click.echo(f"{notice}; waiting {patience_s:g} s …")
            told = True
        time.sleep(LOOK_EVERY_S)
