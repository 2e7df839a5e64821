"""Who is told about an event, on which channels, how urgently, and before whom?"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

from pipeline.events import StatusEvent
from pipeline.notifications import Channel, Lane
from pipeline.subscriptions import Recipient, Subscription
from pipeline.vocabulary import MEANINGS


class Choice(NamedTuple):
    """One notification to be made; ``address`` is the recipient's on ``channel``."""

    recipient: Recipient
    channel: Channel
    address: str
    lane: Lane


def choose(event: StatusEvent, subscription: Subscription) -> list[Choice]:
    """Each recipient who wants this status, on each of their channels; empty when nobody does.

    A channel that a recipient chose has an address: a subscription without one was refused when it was decoded.
    """
    lane, told = lane_of(event), MEANINGS[event.status].told
    return [
        Choice(recipient, channel, recipient.addresses[channel], lane)
        for recipient in subscription.recipients
        # What a recipient names goes; one who names nothing gets what is told by default.
        if (told if recipient.events is None else event.status in recipient.events)
        for channel in dict.fromkeys(recipient.addresses if recipient.channels is None else recipient.channels)
    ]


def lane_of(event: StatusEvent) -> Lane:
    """Urgent is what somebody must act upon: holds, inspections, refusals, delays."""
    return Lane.URGENT if MEANINGS[event.status].urgent or event.is_delay else Lane.BULK


class Waits(Protocol):
    """What waits for a decision; ``event`` is None where it has turned out to be none."""

    @property
    def event(self) -> StatusEvent | None: ...


W = TypeVar("W", bound=Waits)


def is_urgent(one: Waits) -> bool:
    return one.event is not None and lane_of(one.event) is Lane.URGENT


def urgent_first(waiting: Iterable[W]) -> tuple[list[W], list[W]]:
    """Who goes first, and the rest, both in the order in which they came.

    First go urgent events, each with what came before it of its own shipment: of one shipment nothing overtakes.
    """
    line = list(waiting)
    # Where the last urgent event of a shipment stands.
    last = {one.event.shipment_id: place for place, one in enumerate(line) if one.event is not None and is_urgent(one)}
    if not last:
        return [], line
    first: list[W] = []
    rest: list[W] = []
    for place, one in enumerate(line):
        goes_first = one.event is not None and place <= last.get(one.event.shipment_id, -1)
        (first if goes_first else rest).append(one)
    return first, rest
