"""Which brokers are there for the producer, and who leads what? aiokafka's client connects and knows."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import NodeNotReadyError, NoError, RequestTimedOutError, for_code
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import TopicPartition

from streaming import connection

log = structlog.get_logger(__name__)

METADATA_MAX_AGE_S = 60.0
NO_TRANSACTION_MS = 2**31 - 1
CLOSE_TIMEOUT_S = 2.0


class Brokers:
    """For the loop that it was made on.

    ``on_end`` is told of the task that keeps its knowledge fresh when it has ended, by a bug or at the close.
    """

    def __init__(self, kafka: str, *, request_timeout_s: float, on_end: Callable[[asyncio.Task[None]], None]) -> None:
        connection.install()
        self._on_end = on_end
        self._topics: set[str] = set()
        self._looking: asyncio.Future[Any] | None = None
        self._client = AIOKafkaClient(
            bootstrap_servers=kafka.split(","),
            client_id="herald",
            metadata_max_age_ms=round(METADATA_MAX_AGE_S * 1000),
            request_timeout_ms=round(request_timeout_s * 1000),
        )

    async def new_producer_id(self) -> int:
        """Find the brokers and ask one of them. Raises KafkaError; whoever tries again finds them anew."""
        await self._client.bootstrap()
        # It has one task for all attempts.
        self._client._sync_task.remove_done_callback(self._on_end)
        self._client._sync_task.add_done_callback(self._on_end)
        broker = self._client.get_random_node()
        if broker is None:
            raise NodeNotReadyError("Kafka tells of no broker")
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=NO_TRANSACTION_MS)
        response = await self.send(broker, request)
        error = for_code(response.error_code)
        if error is not NoError:
            raise error(f"no producer id: {error.__name__}")
        return int(response.producer_id)

    def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many each has, as far as it is known; 0 where it is not, which is asked for then."""
        for topic in topics:
            if topic not in self._topics:
                self._topics.add(topic)
                # Also where it is known: what aiokafka was not told of it forgets at the next change.
                self._client.add_topic(topic)
        found = {topic: len(self._client.cluster.partitions_for_topic(topic) or ()) for topic in topics}
        if not all(found.values()):
            self.look_again()
        return found

    def leader(self, tp: TopicPartition) -> int | None:
        """The broker's id; None where it is not known, or nobody leads it."""
        leader: int | None = self._client.cluster.leader_for_partition(tp)
        return leader if leader is not None and leader >= 0 else None

    def look_again(self) -> None:
        """What is known of leaders and topics is out of date."""
        if self._looking is None or self._looking.done():
            self._looking = self._client.force_metadata_update()

    async def reach(self, broker: int) -> None:
        """Have a connection. Raises KafkaError."""
        if not await self._client.ready(broker):
            raise NodeNotReadyError(f"broker {broker} cannot be reached")

    async def send(self, broker: int, request: Any) -> Any:
        """Raises KafkaError, RequestTimedOutError when no answer has come in time."""
        try:
            return await self._client.send(broker, request)
        except KeyError as error:
            if error.args != ((broker, ConnectionGroup.DEFAULT),):
                raise
            # Without an answer aiokafka cuts its connection off, and cannot where it has broken meanwhile and is gone:
            # all of that is due at once after the process was frozen.
            raise RequestTimedOutError(f"broker {broker} has not answered, and its connection has broken") from error

    def cut_off(self) -> None:
        """What is under way is not written any further; `close` would wait for it."""
        for one in self._client._conns.values():
            one.close(reason=CloseReason.CONNECTION_TIMEOUT)

    async def close(self) -> None:
        closing = asyncio.create_task(self._client.close())
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_S)
        if not closing.done():
            closing.cancel()
        elif error := closing.exception():
            log.warning("the producer's connections did not close well", reason=repr(error))
