"""What if Kafka has lost the end of a partition? Then the group has committed more than there is.

A broker without replicas that loses its disk, an election of one that was behind, offsets that came from elsewhere:
aiokafka goes back to the start of the log without a word. All that is there would be told again, or, below what was
done, new records would be passed over. From where on they are new, only people can tell, so the worker ends.
"""

from collections.abc import Mapping
from typing import TypeVar

# Faust's and aiokafka's classes for a topic and its partition.
TP = TypeVar("TP", bound=tuple[str, int])


class RecordsLost(Exception):
    """``reached`` is what the group has done of each partition, ``ends`` is where those are said to end."""

    def __init__(self, group: str, reached: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        where = ", ".join(
            f"{tp[0]}-{tp[1]} ends at {ends[tp]}, {group} has committed {offset}"
            for tp, offset in sorted(reached.items())
        )
        super().__init__(f"Kafka has lost records: {where}; set the group's offsets (docs/operations.md)")


def beyond_end(reached: Mapping[TP, int], ends: Mapping[TP, int]) -> dict[TP, int]:
    """Of ``reached``, what no log can hold; ``ends`` must have been asked for later, for a log grows."""
    return {tp: offset for tp, offset in reached.items() if offset > ends[tp]}
