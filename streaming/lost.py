"""What if Kafka has lost the end of a partition? Then the group has got further than there is.

A broker without replicas that loses its disk, an election of one that was behind, offsets that came from elsewhere:
aiokafka goes back to the start of the log without a word. All that is there would be told again, or, below what was
done, new records would be passed over. From where on they are new, only people can tell, so the worker halts.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

# Faust's and aiokafka's classes for a topic and its partition.
Place = TypeVar("Place", bound=tuple[str, int])


class RecordsLost(Exception):
    """Says where, and what was there before, for people; ``reached`` is where the offsets had got to, by place."""

    def __init__(self, where: str, reached: Mapping[Any, int]) -> None:
        super().__init__(f"Kafka has lost records: {where}; see 'Kafka has lost records' in docs/operations.md")
        self.reached = reached


def beyond_end(group: str, reached: Mapping[Place, int], ends: Mapping[Place, int]) -> RecordsLost | None:
    """Whether ``group`` has got further in a partition than any log can hold that ends there.

    The ends must have been asked for after it got there, for a log grows.
    """
    lost = {place: offset for place, offset in sorted(reached.items()) if offset > ends[place]}
    where = [
        f"{place[0]}-{place[1]} ends at {ends[place]}, {group} has got to {offset}" for place, offset in lost.items()
    ]
    return RecordsLost(", ".join(where), lost) if lost else None


def went_back(group: str, place: Place, first: int, reached: int) -> RecordsLost:
    """For a partition that goes on before where it was begun, which only a log does that ended before."""
    return RecordsLost(f"{place[0]}-{place[1]} went back to {first}, {group} had got to {reached}", {place: reached})
