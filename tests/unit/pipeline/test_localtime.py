"""A moment is written in the reader's zone and manner."""

from datetime import UTC, datetime

import pytest

from pipeline.localtime import local_time

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "locale", "zone", "text"),
    [
        (NOON, "en", "UTC", "1 Jul 2026, 12:00 (UTC)"),
        (NOON, "ru", "Europe/Moscow", "01.07.2026, 15:00 (UTC+3)"),
        (NOON, "ru-RU", "Europe/Moscow", "01.07.2026, 15:00 (UTC+3)"),
        (NOON, "en", "Asia/Kolkata", "1 Jul 2026, 17:30 (UTC+5:30)"),
        (NOON, "en", "America/St_Johns", "1 Jul 2026, 09:30 (UTC-2:30)"),
        (NOON, "pt", "UTC", "1 Jul 2026, 12:00 (UTC)"),
        (NOON, "en", "Mars/Olympus", "1 Jul 2026, 12:00 (UTC)"),
        (NOON, "en", "America", "1 Jul 2026, 12:00 (UTC)"),
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "en", "Europe/Amsterdam", "29 Mar 2026, 01:59 (UTC+1)"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "en", "Europe/Amsterdam", "29 Mar 2026, 03:00 (UTC+2)"),
    ],
    ids=["en", "ru", "region", "half hour", "west", "no format", "unknown zone", "a folder", "before", "after DST"],
)
def test_local_time(moment: datetime, locale: str, zone: str, text: str) -> None:
    assert local_time(moment, locale, zone) == text
