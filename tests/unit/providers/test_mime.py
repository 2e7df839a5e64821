"""The messages built by hand read back, by the standard library's own parser, as what was meant."""

import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.email.addresses import parse_mailbox
from providers.email.mime import Sender, build, clean

SENDER = Sender.parse("Карго Herald <herald@example.org>")
DATE = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
]
NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]))


def built(subject: str = "", body: str = "", *, to: str = "a@example.org", notification_id: str = "id-1") -> bytes:
    mailbox = parse_mailbox(to)
    assert mailbox is not None
    return build(SENDER, mailbox, notification_id=notification_id, subject=subject, body=body, date=DATE)[1]


def parsed(message: bytes) -> EmailMessage:
    read = BytesParser(policy=policy.SMTP).parsebytes(message)
    assert isinstance(read, EmailMessage)
    return read


def content_of(message: EmailMessage) -> str:
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def test_says_who_to_whom_and_when() -> None:
    message = parsed(built("Arrived", "Your cargo is here."))
    assert message["From"].addresses[0].display_name == "Карго Herald"
    assert message["From"].addresses[0].addr_spec == "herald@example.org"
    assert message["To"] == "a@example.org"
    assert message["Date"].datetime == DATE
    assert message["Message-ID"] == "<id-1@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"


@given(NO_SURROGATES)
@example("Контейнер MSKU1234567 прибыл в порт Владивосток, заберите его до пятницы, 6 марта 2026 года")
@example("=?utf-8?b?0JrQvtC90YLQtdC50L3QtdGA?=")
@example("a  b " * 30)
@example("👩‍👩‍👧‍👦" * 20)
def test_any_subject_reads_back(subject: str) -> None:
    message = parsed(built(subject))
    assert str(message["Subject"]) == clean(subject)


@given(NO_SURROGATES)
@example(".\r\n.hidden\r\n..\r\n")
@example("x" * 1_200)
@example("a\rb\nc\r\n\n")
@example("\x00")
@example("Контейнер прибыл.\n" * 40)
def test_any_body_reads_back(body: str) -> None:
    meant = re.sub(r"\r\n|\r|\n", "\r\n", body)
    assert content_of(parsed(built(body=body))) == (meant if meant.endswith("\r\n") else meant + "\r\n")


@given(st.text(), st.text(), st.text())
@example("Hi\r\nBcc: everybody@example.org", "", "")
@example("Hi\u2028Bcc: e@example.org", "\r\n\r\nSubject: x", "id>\r\nBcc: e@example.org")
def test_nothing_becomes_a_header_or_breaks_a_line(subject: str, body: str, notification_id: str) -> None:
    message = built(subject, body, notification_id=notification_id)
    assert parsed(message).keys() == HEADERS
    lines = message.split(b"\r\n")
    assert lines[-1] == b""
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    head = message.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert len(head.decode("ascii").splitlines()) == head.count(b"\r\n") + 1
    assert all(len(line) <= 76 for line in head.split(b"\r\n") if b"=?" in line)


def test_plain_ascii_stays_readable() -> None:
    assert built("Arrived", "Line one.\nLine two.").endswith(b"7bit\r\n\r\nLine one.\r\nLine two.\r\n")


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "nobody",
        "Name <a b@example.org>",
        "Name <почта@example.org>",
        "a@b.org\r\nBcc: c@b.org",
        '"A\r\nBcc: c@b.org" <a@b.org>',
    ],
)
def test_a_sender_that_is_none_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="sender"):
        Sender.parse(sender)
