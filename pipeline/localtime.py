"""How is a moment written for a person: in their zone, in the order of day and month that they expect?"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

FORMATS: dict[str, Callable[[datetime], str]] = {
    "en": lambda t: f"{t.day} {MONTHS[t.month - 1]} {t.year}, {t.hour:02}:{t.minute:02}",
    "ru": lambda t: f"{t.day:02}.{t.month:02}.{t.year}, {t.hour:02}:{t.minute:02}",
}
"""By language; others are written as English is."""


@lru_cache(maxsize=4_096)
def local_time(moment: datetime, locale: str, zone: str) -> str:
    """``23 Nov 2026, 10:00 (UTC+3)``: the offset stands with it, as readers of one message may sit in several zones.

    ``moment`` has a fixed offset. What a ship brings arrives at one time, for all whose cargo is on board.
    """
    local = moment.astimezone(_zone(zone))
    write = FORMATS.get(locale.split("-", 1)[0], FORMATS["en"])
    return f"{write(local)} ({_offset(local)})"


def _offset(local: datetime) -> str:
    offset = local.utcoffset()
    minutes = round(offset.total_seconds() / 60) if offset else 0
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02}" if rest else "")


@lru_cache(maxsize=1_024)
def _zone(name: str) -> tzinfo:
    """UTC for a name that the system's list lacks; remembered, as a miss searches the disk."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown, ill-formed, a folder such as "America"
        return UTC
