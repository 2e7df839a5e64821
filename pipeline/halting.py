"""Why does a worker take nothing more until somebody has looked? Because to go on by itself would do harm.

It keeps running meanwhile: one that ended would be started again, and go on.
"""

from enum import StrEnum


class HaltCause(StrEnum):
    """The label ``cause`` of the metric ``herald_halted``."""

    DEAD_LETTERS = "dead-letters"
    RECORDS_LOST = "records-lost"
