"""What does a waiting record become when it is due? Itself, on the topic that it came from."""

from collections.abc import Callable
from typing import Any

import msgspec

import topics
from agents.turn import CONTENT_TYPE, dead_letter, first_seen
from pipeline import trail as trails
from pipeline.delivery import DeadLetterReason
from pipeline.errors import InvalidInput
from pipeline.notifications import Channel, Lane
from streaming.delay import Due
from streaming.producer import Record

TARGETS = {topics.STATUS_AGAIN, *(topics.lane(channel, lane) for channel in Channel for lane in Lane)}


def reader(clock_ms: Callable[[], int]) -> Callable[[Any], Due]:
    """``read`` of a `DelayService`: a record that cannot be read is due at once, as a dead letter."""

    def read(record: Any) -> Due:
        try:
            trail = trails.read(record.headers, clock_ms())
            if trail.target not in TARGETS:
                raise InvalidInput(trails.NAMES["target"], "names no topic that records wait for")
        except InvalidInput as refusal:
            at = first_seen(trails.DEFAULTS, record.topic, record.partition, record.offset, record.timestamp)
            reason = DeadLetterReason.INVALID_INPUT
            return 0, dead_letter(record.key, record.value, at, reason, str(refusal), record.headers)
        kept = [(name, raw) for name, raw in record.headers if name == CONTENT_TYPE]
        returned = msgspec.structs.replace(trail, target="")
        return trail.due_ms, Record(trail.target, record.key, record.value, [*trails.write(returned), *kept])

    return read
