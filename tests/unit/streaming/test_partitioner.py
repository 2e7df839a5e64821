"""Many keys at once go where Kafka's own partitioner puts each."""

from collections import Counter

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from streaming.partitioner import partitions_of


@given(st.lists(st.binary(max_size=70), max_size=40), st.integers(1, 1_000))
def test_each_key_goes_where_kafka_puts_it(keys: list[bytes], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys]


@given(st.binary(min_size=1, max_size=70), st.integers(1, 300))
def test_a_key_among_many_of_its_length_goes_where_it_goes_alone(key: bytes, copies: int) -> None:
    """What one lane of the integer carries over must not be another's."""
    high = b"\xff" * len(key)
    placed = partitions_of([high, key, high] * copies, 64)
    assert placed[1::3] == partitions_of([key], 64) * copies
    assert placed[0::3] == placed[2::3] == partitions_of([high], 64) * copies


def test_what_has_no_key_goes_somewhere_and_in_time_everywhere() -> None:
    places = Counter(partitions_of([None], 4)[0] for _ in range(400))
    assert set(places) == {0, 1, 2, 3}
    assert len(set(partitions_of([None, b"key", None], 64)[::2])) == 1


def test_no_keys_have_no_partitions() -> None:
    assert partitions_of([], 4) == []
