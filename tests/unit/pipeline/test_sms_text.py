"""Parts are counted as the network bills them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sms_text import GSM7_BASIC, GSM7_EXTENSION, parts


def test_the_alphabet_is_whole() -> None:
    assert len(set(GSM7_BASIC)) == len(GSM7_BASIC) == 127, "128 positions, one of them the escape"
    assert len(set(GSM7_EXTENSION)) == len(GSM7_EXTENSION) == 10


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # 306 septets, but the euro would be split over the first boundary
        ("a" * 151 + "€" + "a" * 153, 2),
        ("€" * 76 * 2, 2),
        ("€" * 76 * 2 + "€", 3),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("a" * 69 + "я", 1),
        ("`" * 71, 2),
        ("🚢" * 35, 1),
        ("🚢" * 36, 2),
        ("я" * 66 + "🚢" + "я" * 66, 3),
    ],
)
def test_edges(text: str, count: int) -> None:
    assert parts(text) == count


@given(st.text(), st.text())
def test_more_text_never_takes_fewer_parts(text: str, more: str) -> None:
    assert parts(text + more) >= parts(text) >= 1
