import pytest

from pipeline.errors import DeliveryError, PermanentError, Throttled, Unavailable, Unconfirmed
from providers.http import Answer, parse_retry_after, status_error

NOON = 1_772_366_400.0  # Sun, 01 Mar 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),  # a date without a zone is UTC
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),  # in the past
        ("99999999", 86_400.0),  # nobody waits longer than a day
        ("9" * 400, 86_400.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("٣", None),  # a digit, but no number of RFC 9110
    ],
)
def test_retry_after(value: str | None, wait_s: float | None) -> None:
    assert parse_retry_after(value, now=NOON) == wait_s


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, Unconfirmed),  # something was done, but not what was agreed
        (302, Unavailable),
        (400, PermanentError),
        (401, Unavailable),
        (403, Unavailable),
        (404, Unavailable),
        (408, Unavailable),
        (413, PermanentError),
        (422, PermanentError),
        (429, Throttled),
        (500, Unconfirmed),
        (502, Unconfirmed),
        (503, Unavailable),
        (504, Unconfirmed),
        (599, Unconfirmed),
    ],
)
def test_statuses(status: int, kind: type[DeliveryError]) -> None:
    error = status_error(Answer(status, 3.0, b""))
    assert type(error) is kind
    assert (error.code, error.retry_after_s) == (str(status), 3.0)
