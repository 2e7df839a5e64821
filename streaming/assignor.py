"""Who gets which partitions? Faust's assignor, with what a member had counted only as far as it is still there.

Members keep what they have. One that had partitions of a topic that was made anew with fewer is full of partitions that
nobody can have, and Faust's assignor finds no place for those that are there: an assertion, and no assignment.
"""

from typing import Any

from aiokafka.cluster import ClusterMetadata
from faust.assignor import PartitionAssignor


class PresentAssignor(PartitionAssignor):
    """For ``faust.App(PartitionAssignor=...)``."""

    def _perform_assignment(self, cluster: ClusterMetadata, member_metadata: Any) -> Any:
        self._cluster = cluster
        return super()._perform_assignment(cluster, member_metadata)

    def _get_client_metadata(self, metadata: Any) -> Any:  # type: ignore[override]  # a class method, asked of us alone
        client = super()._get_client_metadata(metadata)
        for held in (client.assignment.actives, client.assignment.standbys):
            for topic, partitions in held.items():
                there = self._cluster.partitions_for_topic(topic) or set()
                held[topic] = [partition for partition in partitions if partition in there]
        return client
