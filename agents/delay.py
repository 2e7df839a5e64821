"""What does a waiting record become when it is due? Itself, on the topic that it came from."""

from collections.abc import Callable

import msgspec

import topics
from agents.turn import CONTENT_TYPE, set_aside
from pipeline import trail as trails
from pipeline.deadletter_reasons import DeadLetterReason
from pipeline.errors import InvalidInput
from pipeline.notifications import Channel, Lane
from streaming.delay import Due
from streaming.producer import Record
from streaming.records import FetchedRecord

TARGETS = {topics.STATUS_AGAIN, *(topics.lane(channel, lane) for channel in Channel for lane in Lane)}


def reader(clock_ms: Callable[[], int]) -> Callable[[FetchedRecord], Due]:
    """``read`` of a `DelayService`: a record that cannot be read is due at once, as a dead letter."""

    def read(record: FetchedRecord) -> Due:
        try:
            trail = trails.read(record.headers, clock_ms())
            if trail.target not in TARGETS:
                raise InvalidInput(trails.NAMES["target"], "names no topic that records wait for")
        except InvalidInput as refusal:
            return 0, set_aside(record, DeadLetterReason.INVALID_INPUT, str(refusal))
        kept = [(name, raw) for name, raw in record.headers if name == CONTENT_TYPE]
        returned = msgspec.structs.replace(trail, target="")
        return trail.due_ms, Record(trail.target, record.key, record.value, [*trails.write(returned), *kept])

    return read
