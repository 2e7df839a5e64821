"""How far has the group got, and who may say so? What aiokafka overlooks where it asks, and where it commits.

It misses it when Kafka cannot say: then the group seems to be new.

From the second version of OffsetFetch on Kafka tells of what concerns the whole group in one code, beside no topic at
all; aiokafka looks for a code at each topic. While the group's coordinator moves to another broker, or reads what it
has to know there, a partition would begin at the start of its log, and everybody on it be told again.
"""

from typing import Any

from aiokafka import errors
from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest

_MOVED = (errors.NotCoordinatorForGroupError, errors.GroupCoordinatorNotAvailableError)


class AttentiveCoordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types here
    """Raises the group's error where aiokafka's own would go on; its callers ask again while it may pass.

    Nor does it commit for a member that the group has given up, as Java's client does not: it has no generation then,
    and Kafka takes offsets without one as long as nobody else is in the group, also such as lie before what others
    have committed since.
    """

    async def _do_commit_offsets(self, assignment: Any, offsets: Any) -> None:
        if offsets and self.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
            raise errors.UnknownMemberIdError(self.group_id)
        await super()._do_commit_offsets(assignment, offsets)

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
