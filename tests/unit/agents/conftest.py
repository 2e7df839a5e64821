"""What agents stand on, without Kafka: tables in memory and an engine that must not end the process."""

from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from agents.guard import DeadLetterGuard
from observability.metrics import Metrics
from pipeline.deadletter_limits import DeadLetterPolicy
from streaming.engine import Engine
from streaming.halt import Halt
from tests.fakes import Clock, Journal, Membership, Out


def _end(reason: str) -> NoReturn:
    raise AssertionError(f"the process would have ended: {reason}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal() -> Journal:
    return []


@pytest.fixture
def out(journal: Journal) -> Out:
    return Out(journal)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
def halt(metrics: Metrics) -> Halt:
    return Halt(metrics.halted)


@pytest.fixture
def membership() -> Membership:
    return Membership()


@pytest.fixture
def engine(halt: Halt, membership: Membership) -> Engine:
    return Engine(drain_timeout_s=5.0, halt=halt, is_member=membership, end=_end)


@pytest.fixture
def guard(halt: Halt) -> DeadLetterGuard:
    return DeadLetterGuard(DeadLetterPolicy(consecutive=3, ratio=1.0, window=1_000), halt)
