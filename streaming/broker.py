"""Is Kafka there, and does it have the topics that a worker needs?"""

import asyncio
import time
from collections.abc import Collection

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S = 5.0
PAUSE_S = 1.0


class BrokerUnavailable(Exception):
    """Kafka did not answer, or lacks topics, for as long as a worker may wait."""


async def wait_for_topics(kafka: str, topics: Collection[str], timeout_s: float) -> None:
    """Return once every topic is there. Raises BrokerUnavailable, which says what to do."""
    deadline = time.monotonic() + timeout_s
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    while True:
        problem = await asyncio.to_thread(_problem, admin, kafka, topics)
        if problem is None:
            return
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"{problem}; gave up after {timeout_s:g} s")
        log.warning("waiting for Kafka", reason=problem)
        await asyncio.sleep(PAUSE_S)


def _problem(admin: AdminClient, kafka: str, topics: Collection[str]) -> str | None:
    try:
        there = admin.list_topics(timeout=ASK_TIMEOUT_S).topics
    except KafkaException as error:
        return f"Kafka does not answer at {kafka} ({error.args[0].str()})"
    missing = sorted(set(topics) - there.keys())
    return f"Kafka lacks {', '.join(missing)}: run `herald topics create`" if missing else None
