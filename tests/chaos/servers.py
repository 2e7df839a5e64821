"""What does a chaos run stand on? Kafka, Postgres, Valkey and the providers, and a proxy before each of them.

The harness and its feed go the direct way, always; what the workers are given leads through the proxies.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.stack import prepare
from simulators.launch import Kind, Simulator
from stack import Endpoints
from stack.ports import HOST, free_ports
from stack.postgres import Postgres
from stack.signals import interruptible, uninterrupted
from stack.valkey import Valkey
from tests.chaos.cluster import Cluster
from tests.chaos.managed import Managed
from tests.chaos.proxy import Proxies

POSTGRES, REDIS = "postgres", "redis"


class Servers:
    """All of them, in ``home``; the schema is there when `start` returns. Blocking.

    Routes of ``proxies``: ``kafka-<n>`` for each broker, ``postgres``, ``redis``, ``sms``, ``smtp``, ``fcm``.
    """

    def __init__(self, home: Path, *, brokers: int = 1, seed: int = 0) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.kafka = Cluster(home, brokers=brokers)
        self._postgres_port, self._redis_port = free_ports(2)
        self.postgres = Managed(Postgres(), home / POSTGRES, (self._postgres_port,))
        self.redis = Managed(Valkey(), home / REDIS, (self._redis_port,))
        self.simulators: Mapping[Kind, Simulator] = {kind: Simulator(kind, home, seed=seed) for kind in Kind}
        self.proxies = Proxies(
            home,
            {
                **self.kafka.targets,
                POSTGRES: f"{HOST}:{self._postgres_port}",
                REDIS: f"{HOST}:{self._redis_port}",
                **{kind.value: f"{HOST}:{one.port}" for kind, one in self.simulators.items()},
            },
        )
        self._interruptible = ExitStack()
        for kind, one in self.simulators.items():
            one.client_port = self.proxies.ports[kind]

    @property
    def direct(self) -> Endpoints:
        """For the harness."""
        return Endpoints(kafka=self.kafka.direct, postgres=self.postgres.address, redis=self.redis.address)

    @property
    def proxied(self) -> Endpoints:
        """For the workers."""
        ports = self.proxies.ports
        return Endpoints(
            kafka=",".join(self.proxies.address(route) for route in self.kafka.targets),
            postgres=Postgres().address((ports[POSTGRES],)),
            redis=Valkey().address((ports[REDIS],)),
        )

    def environment(self) -> dict[str, str]:
        """The settings by which workers reach all of this."""
        environment = {
            **self.proxied.environment(),
            "HERALD_REPLICATION_FACTOR": str(len(self.kafka.ids)),
        }
        for simulator in self.simulators.values():
            environment |= simulator.environment()
        return environment

    def start(self) -> Self:
        """Raises StackError or RuntimeError; what was started is stopped then."""
        try:
            self.proxies.start()
            for simulator in self.simulators.values():
                simulator.start()
            with ThreadPoolExecutor(3) as pool:
                starts = [
                    pool.submit(self.kafka.up, self.proxies.ports),
                    pool.submit(self.postgres.start),
                    pool.submit(self.redis.start),
                ]
            for start in starts:
                start.result()
            prepare(self.direct)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """By force, and not to be interrupted: nothing that they have is needed any more."""
        with uninterrupted():
            self._stop()

    def _stop(self) -> None:
        self.kafka.down()
        for server in (self.postgres, self.redis):
            server.kill()
        for simulator in self.simulators.values():
            simulator.stop()
        self.proxies.stop()

    def __enter__(self) -> Self:
        """SIGTERM ends the block as Ctrl-C does, so that no process is left behind."""
        self._interruptible.enter_context(interruptible())
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._interruptible:
            self.stop()
