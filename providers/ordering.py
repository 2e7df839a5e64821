"""In which order may the messages of one call be sent?"""

from collections.abc import Sequence

from pipeline.notifications import Notification


def by_recipient(notifications: Sequence[Notification]) -> list[list[int]]:
    """Positions grouped by recipient: in order within a group, while groups may overtake each other."""
    groups: dict[str, list[int]] = {}
    for position, notification in enumerate(notifications):
        groups.setdefault(notification.recipient, []).append(position)
    return list(groups.values())
