"""A cursor gives back the very place it was made from, and nothing else passes for one."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.postgres import Position
from web.cursor import decode_cursor, encode_cursor

positions = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(positions)
def test_there_and_back(position):
    cursor = encode_cursor(position)
    assert decode_cursor(cursor) == position
    assert len(cursor) == 32
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=40) | st.text("ABCfz019-_=", min_size=30, max_size=34))
def test_made_up_words_are_refused_or_are_cursors(word):
    try:
        position = decode_cursor(word)
    except ValueError:
        return
    assert encode_cursor(position) == word


def test_the_edges_of_time():
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        position = Position(moment, uuid.UUID(int=0))
        assert decode_cursor(encode_cursor(position)) == position


@pytest.mark.parametrize("word", ["", "=", "é" * 32, "A" * 31, "A" * 33, "A" * 28 + "====", "+" * 32])
def test_not_a_cursor(word):
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor(word)
