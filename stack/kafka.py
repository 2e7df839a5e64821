"""How does the embedded Kafka run? One KRaft node, broker and controller, on the loopback alone."""

import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.endpoints import ServerName
from stack.jars import JAVA, ClassPath, class_path
from stack.ports import HOST
from stack.servers import Launch, NotReady, OnStep, data_folder

_CLUSTER_ID = "Y2FyZ28taGVyYWxkLTAwMQ"
_MAX_BYTES = 16 * 1024 * 1024
_JVM = ["-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"]
_HEAP = ("-Xms256m", "-Xmx512m")
_log = logging.getLogger(__name__)
_LOGGING = {"defaultLogLevel": "info", "showDateTime": "true", "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One of the nodes of a cluster, each of which is broker and controller.

    ``controllers`` has the port of every node's controller by the node's id; ``listeners`` the port where a listener is
    and the one that it tells clients, by its name; brokers talk to each other through the first.
    """

    id: int
    controllers: Mapping[int, int]
    listeners: Mapping[str, tuple[int, int]]
    replication: int


class Kafka:
    name = ServerName.KAFKA
    port_count = 2
    stop_signal = signal.SIGTERM
    stop_timeout_s = 10.0  # one that is still starting may not listen; its data survive being killed
    heap: Sequence[str] = _HEAP

    def launch(self, folder: Path, ports: tuple[int, ...], on_step: OnStep, cancelled: threading.Event) -> Launch:
        jars = class_path(
            "kafka", on_fetch=lambda done, total: on_step("fetching", f"{done} of {total} jars"), cancelled=cancelled
        )
        settings = folder / "server.properties"
        lines = [f"{key}={value}\n" for key, value in _settings(data_folder(folder), self.node(ports)).items()]
        settings.write_text("".join(lines), encoding="utf-8")
        storage: list[str | Path] = [
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            _CLUSTER_ID,
            "--config",
            settings,
        ]
        return Launch(
            setup=[[*_java(jars, self.heap), *storage]],
            command=[*_java(jars, self.heap), "kafka.Kafka", settings],
            note=f"{jars.fetched} jars fetched" if jars.fetched else "jars cached",
        )

    def node(self, ports: tuple[int, ...]) -> Node:
        """The only one; the topics have one replica."""
        broker, controller = ports
        return Node(id=1, controllers={1: controller}, listeners={"BROKER": (broker, broker)}, replication=1)

    def address(self, ports: tuple[int, ...]) -> str:
        return f"{HOST}:{ports[0]}"

    def check(self, address: str, timeout_s: float) -> None:
        client = AdminClient(
            {"bootstrap.servers": address, "socket.connection.setup.timeout.ms": 2_000, "log_level": 0},
            logger=_log,
        )
        try:
            client.list_topics(timeout=timeout_s)
        except KafkaException as error:
            raise NotReady(error.args[0].str()) from error


def _java(jars: ClassPath, heap: Sequence[str]) -> list[str | Path]:
    logging_options = [f"-Dorg.slf4j.simpleLogger.{key}={value}" for key, value in _LOGGING.items()]
    return [JAVA, *_JVM, *heap, *logging_options, "-cp", str(jars)]


def _settings(data: Path, node: Node) -> dict[str, object]:
    listeners = {**node.listeners, "CONTROLLER": (node.controllers[node.id],) * 2}
    in_sync = max(1, node.replication - 1)
    return {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{id}@{HOST}:{port}" for id, port in node.controllers.items()),
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, (port, _) in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{told}" for name, (_, told) in node.listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "inter.broker.listener.name": next(iter(node.listeners)),
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 4,
        "default.replication.factor": node.replication,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": node.replication,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": node.replication,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": node.replication,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        "message.max.bytes": _MAX_BYTES,
        "replica.fetch.max.bytes": _MAX_BYTES,
        "socket.request.max.bytes": 4 * _MAX_BYTES,
        # A worker that starts alone need not wait for others; one that was killed is missed within seconds.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        # After a crash the broker may register again only when its old session has run out.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        # Small enough that a compacted table is compacted while somebody looks on.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.recovery.threads.per.data.dir": 2,
        # The first write to an index costs as much as the file is large, ten megabytes by default, and each of a
        # thousand partitions has two. This is enough for 80 MB of log; then the next segment begins.
        "log.index.size.max.bytes": 256 * 1024,
    }
