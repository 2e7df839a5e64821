"""Why can a record be dead?"""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """The value of the header ``herald-reason``."""

    INVALID_INPUT = "invalid-input"
    RETRIES_EXHAUSTED = "retries-exhausted"
    IN_DOUBT = "in-doubt"
    TEMPLATE = "template"
    BUG = "bug"
    REJECTED_BY_STORE = "rejected-by-store"


# Nobody else will put it right. Publishers and providers answer for the rest.
OURS = frozenset({DeadLetterReason.TEMPLATE, DeadLetterReason.BUG, DeadLetterReason.REJECTED_BY_STORE})
