"""A topic that was made anew with fewer partitions is assigned whole, whatever its members had before."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata

from streaming.assignor import PresentAssignor

TOPICS = ["events", "g-table-changelog"]


def assignor() -> PresentAssignor:
    said = lambda *_: None  # noqa: E731
    sensors = SimpleNamespace(on_assignment_start=said, on_assignment_error=said, on_assignment_completed=said)
    tables = SimpleNamespace(data={}, changelog_topics={TOPICS[1]})
    conf = SimpleNamespace(canonical_url="http://host")
    return PresentAssignor(SimpleNamespace(tables=tables, sensors=sensors, tracer=None, conf=conf))  # type: ignore[arg-type]


def member(had: list[int]) -> ConsumerProtocolMemberMetadata:
    held = ClientAssignment(actives=dict.fromkeys(TOPICS, had), standbys={})
    client = ClientMetadata(assignment=held, url="http://host", changelog_distribution={})
    return ConsumerProtocolMemberMetadata(4, TOPICS, client.dumps())


@pytest.mark.parametrize(
    ("had", "there", "got"),
    [
        pytest.param([[]], 4, [4], id="a new group"),
        pytest.param([list(range(8))], 4, [4], id="one of two workers is left, and a quarter of the partitions"),
        pytest.param([list(range(8, 16))], 4, [4], id="nothing of what it had is there"),
        pytest.param([list(range(8)), list(range(8, 16))], 4, [2, 2], id="both are left"),
        pytest.param([list(range(4))], 16, [16], id="more partitions than before"),
    ],
)
def test_every_partition_that_is_there_has_one_member(had: list[list[int]], there: int, got: list[int]) -> None:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(there)))
    members = {f"m{number}": member(partitions) for number, partitions in enumerate(had)}
    assigned = [dict(one.assignment) for one in assignor().assign(cluster, members).values()]
    for topic in TOPICS:
        assert sorted(partition for one in assigned for partition in one[topic]) == list(range(there))
        assert [len(one[topic]) for one in assigned] == got


def test_members_keep_what_they_had() -> None:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(4)))
    assigned = assignor().assign(cluster, {"m0": member([1, 3]), "m1": member([0, 2])})
    assert {name: sorted(dict(one.assignment)["events"]) for name, one in assigned.items()} == {
        "m0": [1, 3],
        "m1": [0, 2],
    }
