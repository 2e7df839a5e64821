"""A coordinator that moves is asked again, for as long as there is time; whatever else goes wrong is raised."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from cli import group_offsets
from cli.group_offsets import NO_COORDINATOR_YET, committed

PLACES = [("t", 0), ("t", 1)]


class Scripted:
    """A consumer that fails so before it answers."""

    def __init__(self, *failures: int) -> None:
        self._failures = list(failures)
        self.asked = 0
        self.closed = False

    def __call__(self, config: dict[str, Any]) -> "Scripted":
        assert config["enable.auto.commit"] is False
        return self

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        self.asked += 1
        if self._failures:
            raise KafkaException(KafkaError(self._failures.pop(0)))
        return [TopicPartition("t", 0, 7), TopicPartition("t", 1, -1001)]

    def close(self) -> None:
        self.closed = True


def test_a_coordinator_that_moves_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_offsets, "ASK_AGAIN_S", 0.001)
    monkeypatch.setattr(group_offsets, "Consumer", there := Scripted(*NO_COORDINATOR_YET))
    assert committed("k", "g", PLACES, 30.0) == {("t", 0): 7}
    assert (there.asked, there.closed) == (len(NO_COORDINATOR_YET) + 1, True)


@pytest.mark.parametrize(
    ("failure", "timeout_s"), [(KafkaError.NOT_COORDINATOR, 0.0), (KafkaError.GROUP_AUTHORIZATION_FAILED, 30.0)]
)
def test_time_has_an_end_and_other_errors_are_raised(
    failure: int, timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_offsets, "Consumer", there := Scripted(*[failure] * 100))
    with pytest.raises(KafkaException):
        committed("k", "g", PLACES, timeout_s)
    assert (there.asked, there.closed) == (1, True)


def test_nothing_is_asked_of_no_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_offsets, "Consumer", there := Scripted())
    assert (committed("k", "g", [], 30.0), there.asked) == ({}, 0)
