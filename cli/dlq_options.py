"""How does an operator say which dead letters are meant?"""

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.deadletters import Selection
from pipeline.notifications import Channel
from pipeline.times import to_ms

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DURATION = re.compile(r"(?P<count>\d{1,5})(?P<unit>[smhd])", re.ASCII)

F = TypeVar("F", bound=Callable[..., None])


class Moment(click.ParamType):
    """``2h`` ago, or an ISO 8601 time, in UTC where it does not say."""

    name = "duration|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if duration := DURATION.fullmatch(value):
            return datetime.now(UTC) - timedelta(**{UNITS[duration["unit"]]: int(duration["count"])})
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a duration (30s, 15m, 2h, 7d) nor an ISO 8601 time", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Id(click.ParamType):
    """``<partition>-<offset>``, as `herald dlq list` has it."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"\d{1,9}-\d{1,18}", value, re.ASCII):
            self.fail(f"{value!r} is not <partition>-<offset>", param, ctx)
        return str(value)


def selecting(command: F) -> F:
    """Adds the filters; the command gets what they come to as ``selection``."""

    @click.option("--reason", type=click.Choice([one.value for one in DeadLetterReason]), help="Why it died.")
    @click.option("--origin-topic", default="", metavar="PREFIX", help="The topic that it came from starts so.")
    @click.option("--channel", type=click.Choice([one.value for one in Channel]), help="A notification's channel.")
    @click.option("--since", type=Moment(), help="It died no longer ago than 2h, or not before an ISO 8601 time.")
    @click.option("--until", type=Moment(), help="It died longer ago than 2h, or before an ISO 8601 time.")
    @click.option("--error", default="", metavar="TEXT", help="Its error has this in it, in any case.")
    @click.option("--shipment", default="", metavar="ID", help="It speaks of this shipment.")
    @click.option("--event", default="", metavar="ID", help="It speaks of this event.")
    @click.option("--recipient", default="", metavar="ID", help="It speaks of this recipient, by the subscriber's id.")
    @functools.wraps(command)
    def with_selection(**given: Any) -> None:
        filters = {name: given.pop(name) for name in FILTERS}
        command(selection=selection_of(frozenset(given.get("ids", ())), **filters), **given)

    return with_selection  # type: ignore[return-value]


FILTERS = ("reason", "origin_topic", "channel", "since", "until", "error", "shipment", "event", "recipient")


def selection_of(
    ids: frozenset[str], *, channel: str | None, since: datetime | None, until: datetime | None, **others: Any
) -> Selection:
    return Selection(
        ids=ids,
        channel=Channel(channel) if channel else None,
        since_ms=to_ms(since) if since else 0,
        until_ms=to_ms(until) if until else None,
        **others,
    )


def refuse_everything(selection: Selection) -> None:
    """Raises UsageError: what changes something must be told what."""
    if selection.is_everything:
        raise click.UsageError("name dead letters by their IDs, or give a filter")


def asks_for_doubt(selection: Selection) -> bool:
    """Whether it means what somebody may have been told, rather than comes across it."""
    return bool(selection.ids) or selection.reason == DeadLetterReason.IN_DOUBT
