import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.email.addresses import MAX_BYTES, parse_mailbox


@pytest.mark.parametrize(
    ("address", "needs_utf8"),
    [
        ("a@example.org", False),
        ("first.last+cargo@mail.example.co.uk", False),
        ("o'brien@example.org", False),
        ("a@localhost", False),
        ("почта@example.org", True),
        ("a@пример.рф", True),
    ],
)
def test_addresses(address: str, needs_utf8: bool) -> None:
    mailbox = parse_mailbox(address)
    assert mailbox is not None
    assert (mailbox.wire.decode(), mailbox.needs_utf8) == (address, needs_utf8)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "a@",
        "@example.org",
        "a@b@example.org",
        ".a@example.org",
        "a..b@example.org",
        '"a b"@example.org',
        "a@[127.0.0.1]",
        "a,b@example.org",
        "a@example.org\n",
        "a@example.org> SIZE=1",
        "a\u2028b@example.org",
        "a\u3000b@example.org",
        "x" * MAX_BYTES + "@example.org",
        "\udc80@example.org",
    ],
)
def test_what_is_no_address(address: str) -> None:
    assert parse_mailbox(address) is None


@given(st.text())
def test_nothing_gets_out_of_the_angle_brackets(text: str) -> None:
    for address in (text, f"{text}@example.org", f"a@{text}"):
        mailbox = parse_mailbox(address)
        assert mailbox is None or not set(mailbox.wire) & set(b"\r\n\0 <>,;:")
