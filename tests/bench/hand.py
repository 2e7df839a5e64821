"""How does the hand-written job start? Its topics and table, a provider, and its three loops, a process each."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from confluent_kafka.admin import NewTopic

from cli.supervisor import tail
from settings import Settings
from simulators.faults import Faults
from simulators.launch import Kind, Simulator
from stack import Endpoints
from stack.postgres import execute
from tests.bench import baseline
from tests.bench.kafka import ASK_TIMEOUT_S, create_topics, wait_until
from tests.bench.measure import Side
from tests.bench.work import PEOPLE

ROOT = Path(__file__).resolve().parents[2]
STOP_TIMEOUT_S = 10.0


@contextmanager
def hand_written(endpoints: Endpoints, folder: Path, *, latency_ms: float) -> Iterator[Side]:
    """With as many partitions, calls at once and messages in a call as Cargo Herald ships with."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sms.ndjson").unlink(missing_ok=True)
    run, shipped = f"baseline-{time.time_ns()}", Settings()
    names = [baseline.STATUS, *baseline.CHANNELS, baseline.OUTCOMES]
    new = [NewTopic(baseline.topic(run, name), shipped.partitions, 1) for name in names]
    compacted = {"cleanup.policy": "compact"}
    new.append(NewTopic(baseline.topic(run, baseline.IN_FLIGHT), shipped.partitions, 1, config=compacted))
    create_topics(endpoints.kafka, new)
    execute(endpoints.postgres, baseline.CREATE_TABLE)
    with Simulator(Kind.SMS, folder) as provider:
        provider.set_faults(Faults(latency_ms=latency_ms))
        arguments = [
            *("--run", run, "--kafka", endpoints.kafka, "--postgres", endpoints.postgres, "--redis", endpoints.redis),
            *("--provider", provider.environment()["HERALD_SMS_URL"]),
            *("--batch", str(shipped.batch_messages), "--parallel", str(shipped.calls_in_flight)),
        ]
        with _loops(arguments, folder) as processes:
            yield Side(
                endpoints=endpoints,
                workers={name: process.pid for name, process in processes.items()},
                readers=["enrich"],
                status_topic=baseline.topic(run, baseline.STATUS),
                per_event=PEOPLE,
                outcomes=baseline.TABLE,
                others=(),
                simulators={Kind.SMS: provider},
                count_sent=count_sent,
            )
            if ended := [name for name, process in processes.items() if process.poll() is not None]:
                raise RuntimeError(f"{', '.join(ended)} ended before the run did")


@contextmanager
def _loops(arguments: list[str], folder: Path) -> Iterator[Mapping[str, "subprocess.Popen[bytes]"]]:
    logs = {name: folder / f"{name}.log" for name in baseline.LOOPS}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, path in logs.items():
            with path.open("wb") as log:
                command = [sys.executable, "-m", "tests.bench.baseline", "--loop", name, *arguments]
                processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        for name, path in logs.items():

            def is_ready(process: "subprocess.Popen[bytes]" = processes[name], path: Path = path) -> bool:
                if process.poll() is not None:
                    raise RuntimeError(f"it ended with {process.returncode}:\n{tail(path)}")
                return baseline.READY in path.read_text().splitlines()

            wait_until(is_ready, f"{name} is not ready: see {path}")
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def count_sent(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    query = f"SELECT count(*) FROM {baseline.TABLE} WHERE status = 'sent'"  # noqa: S608 our own name
    return int(await connection.fetchval(query, timeout=ASK_TIMEOUT_S))
