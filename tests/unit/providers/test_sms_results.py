from datetime import UTC, datetime

import pytest

from pipeline.errors import PermanentError, TransientError, Unconfirmed
from pipeline.notifications import Channel, Lane, Notification
from pipeline.ports import Accepted, SendResult
from providers.ordering import by_recipient
from providers.sms.batch_http import Result, match_results

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def note(notification_id: str, recipient: str = "r") -> Notification:
    return Notification(
        id=notification_id,
        event_id="e",
        shipment_id="s",
        recipient=recipient,
        channel=Channel.SMS,
        lane=Lane.BULK,
        address="+79000000000",
        title="",
        body="text",
        template="t",
        template_version=1,
        locale="en",
        created_at=NOW,
        expires_at=NOW,
    )


OK = Result(id="1", status="accepted", reference="ref")


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        ([OK], Accepted),
        ([Result(id="1", status="rejected", code="bad")], PermanentError),
        ([Result(id="1", status="rejected", code="busy", retryable=True)], TransientError),
        ([], Unconfirmed),  # missing
        ([Result(id="2", status="accepted")], Unconfirmed),  # of another call
        ([OK, OK], Unconfirmed),  # which of the two?
        ([Result(id="1", status="queued")], Unconfirmed),  # a word that was not agreed
    ],
)
def test_what_a_result_means(results: list[Result], kind: type[SendResult]) -> None:
    (result,) = match_results([note("1")], results)
    assert type(result) is kind


def test_results_are_matched_by_id_not_by_place() -> None:
    results = match_results([note("a"), note("b")], [Result(id="b", status="accepted", reference="B"), OK])
    assert type(results[0]) is Unconfirmed
    assert results[1] == Accepted("B")


@pytest.mark.parametrize("code", ["to +79000000000", "x" * 41, "a\nb", "номер"])
def test_a_code_that_is_no_code_is_dropped(code: str) -> None:
    (result,) = match_results([note("1")], [Result(id="1", status="rejected", code=code)])
    assert isinstance(result, PermanentError)
    assert result.code == ""


def test_grouping_keeps_order_and_loses_nothing() -> None:
    notes = [note(str(n), recipient) for n, recipient in enumerate("abacb")]
    assert by_recipient(notes) == [[0, 2], [1, 4], [3]]
