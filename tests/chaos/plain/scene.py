"""What does one fault befall? The plain application on servers of its own, fed and watched from outside."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
from confluent_kafka.admin import AdminClient, NewTopic

from simulators.launch import Kind as SimulatorKind
from simulators.launch import Simulator
from stack import Endpoints, Stack
from stack.postgres import execute
from tests.chaos import kafka_reader
from tests.chaos.plain.names import CHANGELOG, COMPACTED, INPUTS, PARTITIONS, PLAIN
from tests.chaos.plain.scenario import Scenario
from tests.chaos.plain.tally import Tally, tally
from tests.chaos.plain.workers import ROOT, Workers
from tests.chaos.published import read_lines

EVENTS_A_SECOND = 20
TIMEOUT_S = 30.0
# Past the time in which the feeder waits for the broker's last words.
FEEDER_END_S = 45.0
LOOK_EVERY_S = 0.2
TABLE = f"CREATE TABLE {PLAIN} (notification_id text PRIMARY KEY, status text NOT NULL, attempts int NOT NULL)"
ROWS = f"SELECT notification_id, status FROM {PLAIN}"  # noqa: S608 -- a constant


class Scene:
    """Everything runs; every method blocks, for a limited time."""

    def __init__(
        self, *, stack: Stack, endpoints: Endpoints, provider: Simulator, workers: Workers, ledger: Path, seed: int
    ) -> None:
        self.stack = stack
        self.provider = provider
        self.workers = workers
        self.dice = random.Random(seed)
        self._endpoints = endpoints
        self._ledger = ledger

    def told(self) -> int:
        """How many messages the provider has taken."""
        return self.provider.summary().distinct

    def wait_for_progress(self, within_s: float) -> bool:
        """Whether the provider takes another message in time."""
        before, deadline = self.told(), time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self.told() > before:
                return True
            time.sleep(LOOK_EVERY_S)
        return False

    def tally(self) -> Tally:
        return tally(read_lines(self._ledger), self.provider.ledger(), asyncio.run(_rows(self._endpoints.postgres)))

    def lag(self) -> int:
        """Records that the group has not committed. Raises KafkaException."""
        committed = kafka_reader.reached(self._endpoints.kafka, PLAIN, INPUTS)
        ends = kafka_reader.ends(self._endpoints.kafka, INPUTS)
        return sum(end - committed.get(tp, 0) for tp, end in ends.items())

    @contextmanager
    def feed(self, *, seed: int, poison: float) -> Iterator[None]:
        """Events go in as long as the block lasts. Returns when the broker's word on each of them is known."""
        command = [
            *(sys.executable, "-m", "tests.chaos.feeder", "--kafka", self._endpoints.kafka),
            *("--ledger", str(self._ledger), "--seed", str(seed), "--rate", str(EVENTS_A_SECOND)),
            *("--channels", "sms", "--people", "2", "--poison", str(poison)),
        ]
        feeder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert feeder.stdout is not None
            feeder.stdout.readline()  # it says when the first event is acknowledged
            yield
            feeder.terminate()
            feeder.wait(FEEDER_END_S)
        finally:
            feeder.kill()
            feeder.wait()


@contextmanager
def set_up(scenario: Scenario, home: Path, seed: int) -> Iterator[Scene]:
    """A scene whose workers have been started; all of it is stopped at the end."""
    home.mkdir(parents=True)
    with ExitStack() as to_end:
        stack = Stack(home / "stack")
        to_end.callback(stack.down)
        endpoints = stack.up()
        _create_topics(endpoints.kafka)
        execute(endpoints.postgres, TABLE)
        provider = to_end.enter_context(Simulator(SimulatorKind.SMS, home, seed=seed))
        environment = {
            "PLAIN_KAFKA": endpoints.kafka,
            "PLAIN_POSTGRES": endpoints.postgres,
            "PLAIN_PROVIDER": f"{provider.url}/v1/messages",
            **scenario.environment,
        }
        workers = Workers(scenario.workers, home, environment)
        workers.start()
        to_end.callback(workers.stop)
        ledger = home / "feeder.ndjson"
        ledger.touch()
        yield Scene(stack=stack, endpoints=endpoints, provider=provider, workers=workers, ledger=ledger, seed=seed)


def _create_topics(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics(
        [
            NewTopic(name, PARTITIONS, 1, config={"cleanup.policy": "compact"} if name in COMPACTED else {})
            for name in (*INPUTS, CHANGELOG)
        ]
    )
    for one in made.values():
        one.result(TIMEOUT_S)


async def _rows(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
    try:
        return {row[0]: row[1] for row in await connection.fetch(ROWS, timeout=TIMEOUT_S)}
    finally:
        await connection.close(timeout=TIMEOUT_S)
