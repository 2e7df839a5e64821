"""On what is a scenario played? The whole pipeline as processes, a feed, and a note of what is done to it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import asyncpg
import redis
from confluent_kafka import KafkaException

from cli.topics import create_topics
from pipeline.notifications import Channel
from settings import Role, Settings
from simulators.faults import NO_FAULTS, Faults
from simulators.launch import Kind, Simulator
from stack.signals import uninterrupted
from tests.chaos import ledgers
from tests.chaos.account import Account, Rules
from tests.chaos.injections import Injection, Injections
from tests.chaos.ledgers import Beginning, Sources
from tests.chaos.servers import Servers
from tests.chaos.workers import Workers

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
TIERS_S = (1.0, 2.0, 5.0, 10.0)
CALLS, BATCH = 8, 10
# What one send worker may have under way: what a crash of it may repeat.
IN_FLIGHT = CALLS * BATCH
SESSION_TIMEOUT_S = 6.0
CIRCUIT_FAILURES = 8
SETTINGS = {
    "HERALD_LOG_FORMAT": "json",
    "HERALD_RETRY_TIERS_S": ",".join(f"{tier:g}" for tier in TIERS_S),
    "HERALD_SUBSCRIPTION_GRACE_S": "10",
    "HERALD_COMMIT_INTERVAL_S": "0.3",
    "HERALD_SESSION_TIMEOUT_S": f"{SESSION_TIMEOUT_S:g}",
    "HERALD_DRAIN_TIMEOUT_S": "10",
    "HERALD_STUCK_TIMEOUT_S": "40",
    "HERALD_PROVIDER_TIMEOUT_S": "3",
    "HERALD_CALLS_IN_FLIGHT": str(CALLS),
    "HERALD_CALLS_FOR_URGENT": "2",
    "HERALD_BATCH_MESSAGES": str(BATCH),
    "HERALD_CIRCUIT_FAILURES": str(CIRCUIT_FAILURES),
    "HERALD_CIRCUIT_LONGEST_WAIT_S": "10",
    # Both policies, on the two channels whose providers honour no key.
    "HERALD_UNCONFIRMED": "sms=give-up,email=send-again,push=give-up",
}
RULES = Rules(circuit_grace_s=4.5, probe_every_s=1.0)

ROLES = [role for role in Role if role is not Role.API]
SIMULATORS = {Channel.SMS: Kind.SMS, Channel.EMAIL: Kind.SMTP, Channel.PUSH: Kind.FCM}
LATENCY_MS = {Kind.SMS: 30.0, Kind.SMTP: 10.0, Kind.FCM: 30.0}

READY_TIMEOUT_S = 120.0
FEED_TIMEOUT_S = 60.0
ASK_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.25


class NotInTime(Exception):
    """What a scenario waited for did not come."""


def eventually(look: Callable[[], T | None], what: str, *, within_s: float) -> T:
    """What ``look`` finds, once it finds something. Raises NotInTime."""
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {within_s:g} s: {what}")
        time.sleep(LOOK_EVERY_S)


class Arena:
    """``folder`` keeps ledgers and logs. Every method blocks, for a limited time."""

    def __init__(self, folder: Path, *, brokers: int, seed: int) -> None:
        self.folder = folder
        self.servers = Servers(folder / "servers", brokers=brokers, seed=seed)
        self.injections = Injections()
        self._seed = seed
        self._feeds = 0
        self._feeders: list[Path] = []

    def __enter__(self) -> Self:
        self.servers.start()
        try:
            environment = {**self.servers.environment(), **SETTINGS}
            create_topics(_settings({**environment, **self.servers.direct.environment()}))
            self.workers = Workers(ROLES, environment=environment, folder=self.folder / "workers")
            self.workers.start()
            self.heal()
            self.workers.wait_until_ready(READY_TIMEOUT_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Told to stop twice, it still stops everything.
        with uninterrupted():
            if hasattr(self, "workers"):
                self.workers.stop()
            self.servers.stop()

    # What goes in

    @contextmanager
    def feeding(
        self,
        *,
        rate: float,
        people: int = 2,
        poison: float = 0.02,
        channels: Sequence[Channel] = tuple(Channel),
    ) -> Iterator[None]:
        """``rate`` documents a second, until the block is left. Fails where the feeder does not end well."""
        self._feeds += 1
        ledger = self.folder / f"feed-{self._feeds}.ndjson"
        log = (self.folder / "feeder.log").open("ab")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.chaos.feeder"),
                *("--kafka", self.servers.direct.kafka, "--ledger", str(ledger)),
                *("--seed", str(self._seed + self._feeds), "--rate", str(rate), "--people", str(people)),
                *("--poison", str(poison), "--channels", ",".join(channels)),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            killer = threading.Timer(FEED_TIMEOUT_S, process.kill)
            killer.start()
            ready = process.stdout.readline()
            killer.cancel()
            if ready.strip() != b"ready":
                raise NotInTime("the feeder does not publish: see feeder.log")
            self._feeders.append(ledger)
            yield
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(FEED_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
            log.close()

    def simulator(self, channel: Channel) -> Simulator:
        return self.servers.simulators[SIMULATORS[channel]]

    def set_faults(self, channel: Channel, faults: Faults = NO_FAULTS) -> None:
        """On top of the provider's usual latency."""
        self._set(SIMULATORS[channel], faults)

    def _set(self, kind: Kind, faults: Faults) -> None:
        latency_ms = faults.latency_ms or LATENCY_MS[kind]
        self.servers.simulators[kind].set_faults(_with_latency(faults, latency_ms))

    def heal(self) -> None:
        """Networks pass, providers serve, every worker runs with the right time."""
        self.servers.proxies.pass_all()
        for kind in Kind:
            self._set(kind, NO_FAULTS)
        for name in self.workers.workers:
            self.workers.disarm(name)
            self.workers.set_clock(name, 0.0)

    # What comes out

    def sources(self) -> Sources:
        """Where the account is read from. Flushes the providers' ledgers."""
        for simulator in self.servers.simulators.values():
            simulator.summary()
        logs = self.folder / "workers"
        return Sources(
            kafka=self.servers.direct.kafka,
            postgres=self.servers.direct.postgres,
            feeders=tuple(self._feeders),
            providers={channel: self.simulator(channel).ledger_path for channel in Channel},
            logs={channel: sorted(logs.glob(f"send-{channel}*.log")) for channel in Channel},
            tiers_s=TIERS_S,
        )

    def begin(self) -> Beginning:
        """A scenario begins: what came before is no longer looked at."""
        self._feeders.clear()
        self.injections.clear()
        return ledgers.begin(self.servers.direct.kafka, TIERS_S)

    def settle(self, within_s: float) -> float:
        """Until every group has committed to every end, twice; returns the seconds. Raises NotInTime."""
        began = time.monotonic()
        sources = self.sources()
        before: list[object] = []

        def quiet() -> bool:
            nonlocal before
            try:
                now = ledgers.offsets(sources)
            except KafkaException:
                return False
            ends = [one.end for one in now]
            is_quiet = all(one.committed >= one.end for one in now) and ends == before
            before = list(ends)
            return is_quiet

        eventually(quiet, "everything to be dealt with", within_s=within_s)
        return time.monotonic() - began

    def read(self, beginning: Beginning) -> Account:
        """The account since then, and the faults that it explains itself with."""
        account = ledgers.read_account(self.sources(), beginning, rules=RULES)
        return replace(account, faults=self.injections.faults(account.entries))

    def has_row_since(self, at_s: float) -> bool:
        """Whether Postgres has an outcome that ended after that; False also while it does not answer."""

        async def ask() -> bool:
            connection = await asyncpg.connect(self.servers.direct.postgres, timeout=ASK_TIMEOUT_S)
            try:
                found = await connection.fetchval(
                    "SELECT count(*) FROM (SELECT 1 FROM notification_outcome"
                    " WHERE finished_at > to_timestamp($1) LIMIT 1) AS one",
                    at_s,
                    timeout=ASK_TIMEOUT_S,
                )
            finally:
                await connection.close()
            return bool(found)

        try:
            return asyncio.run(ask())
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False

    # What is done to it

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self.servers.direct.redis, socket_timeout=ASK_TIMEOUT_S) as client:
            client.flushall()

    @contextmanager
    def injecting(
        self,
        name: str,
        *,
        channels: Sequence[Channel] = (),
        in_flight: int = 0,
        ends_workers: bool = False,
        calm_s: float = 15.0,
    ) -> Iterator[Injection]:
        """Note a fault for as long as the block lasts; its traces may show for ``calm_s`` more."""
        injection = self.injections.begin(
            name, channels=channels, in_flight=in_flight, ends_workers=ends_workers, calm_s=calm_s
        )
        try:
            yield injection
        finally:
            injection.end()


def _with_latency(faults: Faults, latency_ms: float) -> Faults:
    return Faults(**{name: getattr(faults, name) for name in Faults.__struct_fields__} | {"latency_ms": latency_ms})


def _settings(environment: dict[str, str]) -> Settings:
    prefix = "HERALD_"
    named = {name.removeprefix(prefix).lower(): value for name, value in environment.items() if name.startswith(prefix)}
    return Settings.model_validate(named)
