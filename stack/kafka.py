"""How does the embedded Kafka run? One KRaft node, broker and controller, on the loopback alone."""

import logging
import signal
import threading
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.endpoints import ServerName
from stack.jars import JAVA, ClassPath, class_path
from stack.ports import HOST
from stack.servers import Launch, NotReady, OnStep, data_folder

_CLUSTER_ID = "Y2FyZ28taGVyYWxkLTAwMQ"
_MAX_BYTES = 16 * 1024 * 1024
_JVM = ["-Xms256m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"]
_log = logging.getLogger(__name__)
_LOGGING = {"defaultLogLevel": "info", "showDateTime": "true", "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"}


class Kafka:
    name = ServerName.KAFKA
    port_count = 2
    stop_signal = signal.SIGTERM
    stop_timeout_s = 10.0  # one that is still starting may not listen; its data survive being killed

    def launch(self, folder: Path, ports: tuple[int, ...], on_step: OnStep, cancelled: threading.Event) -> Launch:
        jars = class_path(
            "kafka", on_fetch=lambda done, total: on_step("fetching", f"{done} of {total} jars"), cancelled=cancelled
        )
        settings = folder / "server.properties"
        lines = [f"{key}={value}\n" for key, value in _settings(data_folder(folder), ports).items()]
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
            setup=[[*_java(jars), *storage]],
            command=[*_java(jars), "kafka.Kafka", settings],
            note=f"{jars.fetched} jars fetched" if jars.fetched else "jars cached",
        )

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


def _java(jars: ClassPath) -> list[str | Path]:
    logging_options = [f"-Dorg.slf4j.simpleLogger.{key}={value}" for key, value in _LOGGING.items()]
    return [JAVA, *_JVM, *logging_options, "-cp", str(jars)]


def _settings(data: Path, ports: tuple[int, ...]) -> dict[str, object]:
    broker, controller = ports
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"BROKER://{HOST}:{broker},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"BROKER://{HOST}:{broker}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 4,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
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
    }
