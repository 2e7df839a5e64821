"""What does the whole pipeline need to run on one machine? Servers, schema, topics, simulated providers, workers.

For the demo and the end-to-end tests, which differ in what they do with it.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cli.supervisor import Supervisor
from cli.topics import create_topics
from settings import Role, Settings
from simulators.launch import Kind, Simulator
from stack import Endpoints

READY_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class LocalPipeline:
    """Everything that runs; ``environment`` is what the workers were given, ``api_key`` opens the status API."""

    endpoints: Endpoints
    environment: Mapping[str, str]
    simulators: Mapping[Kind, Simulator]
    supervisor: Supervisor
    api_key: str

    @property
    def api_url(self) -> str:
        return self.supervisor.workers[Role.API].url


@contextmanager
def local_pipeline(
    endpoints: Endpoints,
    folder: Path,
    *,
    overrides: Mapping[str, str],
    seed: int = 0,
    workers_per_role: int = 1,
) -> Iterator[LocalPipeline]:
    """Topics, simulators and workers, started; stopped at the end, however it comes.

    The schema must be there. ``overrides`` are settings by the names of their variables. Logs and ledgers go into
    ``folder``, which is emptied first. Raises WorkersFailed, KafkaException, RuntimeError.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    api_key = secrets.token_urlsafe(16)
    with ExitStack() as stack:
        simulators = {kind: stack.enter_context(Simulator(kind, folder, seed=seed)) for kind in Kind}
        environment = {
            **endpoints.environment(),
            "HERALD_API_KEYS": sha256(api_key.encode()).hexdigest(),
            "HERALD_LOG_FORMAT": "json",
        }
        for simulator in simulators.values():
            environment |= simulator.environment()
        environment |= overrides
        create_topics(settings_of(environment))
        supervisor = Supervisor(Role, environment=environment, folder=folder, workers_per_role=workers_per_role)
        stack.callback(supervisor.stop)
        supervisor.start()
        supervisor.wait_until_ready(READY_TIMEOUT_S)
        yield LocalPipeline(
            endpoints=endpoints,
            environment=environment,
            simulators=simulators,
            supervisor=supervisor,
            api_key=api_key,
        )


def settings_of(environment: Mapping[str, str]) -> Settings:
    """As a worker would read them."""
    prefix = "HERALD_"
    named = {name.removeprefix(prefix).lower(): value for name, value in environment.items() if name.startswith(prefix)}
    return Settings.model_validate(named)
