"""Has every group read to the end? In a retry tier, up to what is not due yet."""

from tests.chaos.account import RETRY, Committed, Coordinates
from tests.chaos.facts import Facts
from tests.chaos.verdict import Breach, Violation


def check(facts: Facts) -> list[Violation]:
    due_ms = {one.place.coordinates: one.due_ms for one in facts.account.waiting}
    return [
        Violation(
            breach=Breach.UNCOMMITTED,
            id=f"{one.group} {one.topic}/{one.partition}",
            evidence=f"{one.committed} of {one.end}",
        )
        for one in facts.account.committed
        if one.committed < one.end and not _waits(one, due_ms, facts.account.read_ms)
    ]


def _waits(one: Committed, due_ms: dict[Coordinates, int], now_ms: int) -> bool:
    """A partition's head holds up what is behind it."""
    head = Coordinates(one.topic, one.partition, one.committed)
    return one.group == RETRY and due_ms.get(head, 0) > now_ms
