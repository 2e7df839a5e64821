"""A worker of one role as a process of its own, and what a test asks of it."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaException

from cli.doctor_kafka import CannotAsk
from cli.doctor_probes import ask_worker
from cli.worker import worker_command
from pipeline.symptoms import WorkerFacts
from settings import Role
from stack.ports import free_ports
from tests.e2e.world import eventually

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 15.0
SOON_S = 60.0
CANNOT_GO_ON = 70


def settled(look: Callable[[], object], what: str) -> None:
    """Asked again, too, where Kafka has no answer: a group's coordinator takes its time to load."""

    def ask() -> object:
        with suppress(KafkaException):
            return look()
        return None

    eventually(ask, what)


class Running:
    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, url: str) -> None:
        self._process = process
        self._log = log
        self._url = url

    def last_words(self) -> str:
        """What it says, when it has ended because it cannot go on."""
        assert self._process.wait(SOON_S) == CANNOT_GO_ON, self._log.read_text()
        return self._log.read_text()

    def halted(self) -> WorkerFacts:
        """What `herald doctor` hears of it, once it has halted; it has not ended."""

        def look() -> WorkerFacts | None:
            assert self._process.poll() is None, self._log.read_text()
            try:
                facts = asyncio.run(ask_worker("worker", self._url, TIMEOUT_S))
            except CannotAsk:
                return None
            return facts if facts.halted else None

        return eventually(look, "the worker to halt")


@contextmanager
def worker(environment: Mapping[str, str], role: Role, folder: Path) -> Iterator[Running]:
    log = folder / "log"
    (port,) = free_ports(1)
    own = {
        "HERALD_ROLE": role.value,
        "HERALD_DATA_DIR": str(folder / "data"),
        "HERALD_HTTP_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(worker_command(), env={**environment, **own}, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield Running(process, log, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(SOON_S)
        finally:
            process.kill()
