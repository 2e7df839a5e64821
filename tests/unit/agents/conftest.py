"""What agents stand on, without Kafka: tables in memory and an engine that must not end the process."""

from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from observability.metrics import Metrics
from streaming.engine import Engine
from tests.fakes import Clock, Journal, Out


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
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def engine() -> Engine:
    return Engine(drain_timeout_s=5.0, end=_end)
