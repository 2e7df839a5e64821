"""How far has the group got? aiokafka asks, and misses it when Kafka cannot say: then the group seems to be new.

From the second version of OffsetFetch on Kafka tells of what concerns the whole group in one code, beside no topic at
all; aiokafka looks for a code at each topic. While the group's coordinator moves to another broker, or reads what it
has to know there, a partition would begin at the start of its log, and everybody on it be told again.
"""

from typing import Any

from aiokafka import errors
from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchRequest

_MOVED = (errors.NotCoordinatorForGroupError, errors.GroupCoordinatorNotAvailableError)


class AttentiveCoordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types here
    """Raises the group's error where aiokafka's own would go on; its callers ask again while it may pass."""

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if isinstance(request, OffsetFetchRequest) and (code := getattr(response, "error_code", 0)):
            error = errors.for_code(code)
            if error in _MOVED:
                self.coordinator_dead()
            raise error(self.group_id)
        return response


def install() -> None:
    """For every consumer that this process makes from here on: aiokafka has no other place to say it."""
    consumer.GroupCoordinator = AttentiveCoordinator
