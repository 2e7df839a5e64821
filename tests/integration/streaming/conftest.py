import uuid
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

TIMEOUT_S = 20.0


@pytest.fixture
def new_topic(kafka: str) -> Callable[[int], str]:
    """Makes a topic with so many partitions, and returns its name."""

    def make(partitions: int) -> str:
        name = f"test-{uuid.uuid4().hex[:8]}"
        admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
        for created in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            created.result(TIMEOUT_S)
        return name

    return make
