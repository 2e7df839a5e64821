"""How does Kafka run where brokers are killed one by one? As one node or three, each with a second way in for workers.

Every node has two listeners. The harness and its feed use the direct one; the other tells clients the port of a proxy,
so that all that workers say to Kafka goes through proxies, one for each broker.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.endpoints import StackError
from stack.kafka import Kafka, Node
from stack.ports import HOST, free_ports
from tests.chaos.managed import Managed

WHOLE_TIMEOUT_S = 90.0
ASK_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.2


class Broker(Kafka):
    """Node ``id`` of a cluster; its ports are those of the two listeners and the controller's."""

    port_count = 3
    stop_timeout_s = 30.0  # it hands its partitions to the others first
    heap = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    def __init__(self, id: int, controllers: Mapping[int, int], *, advertised: int, replication: int) -> None:
        self._id = id
        self._controllers = controllers
        self._advertised = advertised
        self._replication = replication

    def node(self, ports: tuple[int, ...]) -> Node:
        direct, for_workers, _ = ports
        return Node(
            id=self._id,
            controllers=self._controllers,
            listeners={"BROKER": (direct, direct), "WORKERS": (for_workers, self._advertised)},
            replication=self._replication,
        )


class Cluster:
    """``brokers`` is 1 or 3: with three, topics have three replicas by default, of which two must be in sync.

    Blocking; different brokers may be hurt from different threads.
    """

    def __init__(self, home: Path, *, brokers: int) -> None:
        self._home = home
        self._ports = {id: free_ports(Broker.port_count) for id in range(1, brokers + 1)}
        self._nodes: dict[int, Managed] = {}

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._ports)

    @property
    def targets(self) -> dict[str, str]:
        """Where the workers' proxies must lead: host:port by the name of the route, one for each broker."""
        return {route(id): f"{HOST}:{for_workers}" for id, (_, for_workers, _) in self._ports.items()}

    @property
    def direct(self) -> str:
        """Bootstrap servers for the harness."""
        return ",".join(f"{HOST}:{direct}" for direct, _, _ in self._ports.values())

    def up(self, advertised: Mapping[str, int]) -> None:
        """Start every broker, with its data if it has any; ``advertised`` are the proxies' ports by their routes.

        Returns when the cluster is whole. Raises StackError.
        """
        controllers = {id: controller for id, (_, _, controller) in self._ports.items()}
        for id, ports in self._ports.items():
            broker = Broker(id, controllers, advertised=advertised[route(id)], replication=len(self._ports))
            self._nodes.setdefault(id, Managed(broker, self._home / route(id), ports))
        # A broker answers only when most of them are there.
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            for start in [pool.submit(node.start) for node in self._nodes.values()]:
                start.result()
        self.wait_until_whole()

    def down(self) -> None:
        """By force: brokers that are asked one after the other wait for the majority that has left."""
        for node in self._nodes.values():
            node.kill()

    def kill(self, id: int) -> None:
        """SIGKILL."""
        self._nodes[id].kill()

    def stop(self, id: int) -> None:
        """As an operator does: it gives its partitions away before it ends."""
        self._nodes[id].stop()

    def start(self, id: int, *, timeout_s: float = WHOLE_TIMEOUT_S) -> None:
        """Returns when the broker answers and, if all of them run, no partition lacks a replica. Raises StackError."""
        self._nodes[id].start()
        if all(node.is_running for node in self._nodes.values()):
            self.wait_until_whole(timeout_s=timeout_s)

    def is_running(self, id: int) -> bool:
        return self._nodes[id].is_running

    def wait_until_whole(self, *, timeout_s: float = WHOLE_TIMEOUT_S) -> None:
        """Every broker is known, and every replica in sync. Raises StackError with what is not."""
        deadline = time.monotonic() + timeout_s
        admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0})
        while problem := self._problem(admin):
            if time.monotonic() > deadline:
                raise StackError(f"the cluster is not whole after {timeout_s:.0f} s: {problem}")
            time.sleep(LOOK_EVERY_S)

    def _problem(self, admin: AdminClient) -> str | None:
        try:
            metadata = admin.list_topics(timeout=ASK_TIMEOUT_S)
        except KafkaException as error:
            return str(error.args[0].str())
        if missing := set(self._ports) - metadata.brokers.keys():
            return f"brokers {sorted(missing)} are not known"
        lacking = [
            f"{name}-{number}"
            for name, topic in metadata.topics.items()
            for number, partition in topic.partitions.items()
            if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)
        ]
        return f"under-replicated: {' '.join(lacking[:5])}, {len(lacking)} in all" if lacking else None


def route(id: int) -> str:
    """The name of a broker's proxy."""
    return f"kafka-{id}"
