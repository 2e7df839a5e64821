"""What if Kafka has lost the end of a partition? Then the group has got further than there is.

A broker without replicas that loses its disk, an election of one that was behind, offsets that came from elsewhere:
aiokafka goes back to the start of the log without a word. All that is there would be told again, or, below what was
done, new records would be passed over. From where on they are new, only people can tell, so the worker halts.
"""

from collections.abc import Mapping
from typing import TypeVar

from pipeline.halting import HaltCause
from streaming.halt import Halt

# Faust's and aiokafka's classes for a topic and its partition.
Place = TypeVar("Place", bound=tuple[str, int])


class RecordsLost(Exception):
    """Says where, and what was there before, for people."""

    def __init__(self, where: str) -> None:
        super().__init__(f"Kafka has lost records: {where}; see 'Kafka has lost records' in docs/operations.md")


class LossWatch:
    """Halts the worker of ``group`` where records are lost; says so once, and again where the group had got further."""

    def __init__(self, group: str, halt: Halt) -> None:
        self._group = group
        self._halt = halt
        self._told: dict[tuple[str, int], int] = {}

    def compare(self, reached: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        """Halt where the group has got further in a partition than its log ends.

        The ends must have been asked for after it got there, for a log grows.
        """
        lost = [
            f"{place[0]}-{place[1]} ends at {ends[place]}, {self._group} has got to {offset}"
            for place, offset in sorted(reached.items())
            if offset > ends[place] and self._is_new(place, offset)
        ]
        if lost:
            self._begin(RecordsLost(", ".join(lost)))

    def went_back(self, place: Place, first: int, reached: int) -> None:
        """Halt: the partition goes on before where it was begun, which only a log does that ended before."""
        if self._is_new(place, reached):
            self._begin(behind(self._group, place, first, reached))

    def _is_new(self, place: tuple[str, int], reached: int) -> bool:
        told = self._told.get(place, -1)
        self._told[place] = max(told, reached)
        return reached > told

    def _begin(self, lost: RecordsLost) -> None:
        # One that is started again takes a log that has grown since for a sound one.
        self._halt.begin(HaltCause.RECORDS_LOST, str(lost))


def behind(who: str, place: Place, first: int, reached: int) -> RecordsLost:
    """For what goes on at ``first`` when ``who`` had got to ``reached``."""
    return RecordsLost(f"{place[0]}-{place[1]} went back to {first}, {who} had got to {reached}")
