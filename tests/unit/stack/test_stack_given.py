import threading

import pytest

from stack import given
from stack.endpoints import Endpoints, ServerName, StackError
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.servers import NotReady, Server
from stack.valkey import Valkey


class Answers(Valkey):
    """Refuses ``refusals`` times, then answers."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def check(self, address: str, timeout_s: float) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotReady("connection refused")


def test_a_server_that_answers_late_is_waited_for() -> None:
    server = Answers(refusals=2)

    given.check(server, "redis://elsewhere:6379/0", threading.Event())

    assert server.refusals == 0


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    cancelled = threading.Event()
    cancelled.set()

    with pytest.raises(StackError) as raised:
        given.check(Answers(refusals=1), "redis://me:secret@elsewhere:6379/0", cancelled)

    assert str(raised.value) == "HERALD_REDIS names elsewhere:6379, which does not answer: connection refused"


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (Kafka(), "127.0.0.1:1"),
        (Postgres(), "postgresql://me:secret@127.0.0.1:1/herald"),
        (Postgres(), "no DSN"),
        (Valkey(), "redis://:secret@127.0.0.1:1/0"),
        (Valkey(), "no URL"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_each_server_tells_when_nobody_answers(server: Server, address: str) -> None:
    with pytest.raises(NotReady) as raised:
        server.check(address, 1.0)

    assert str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db:5432/herald?password=secret", "db:5432"),
        ("postgresql://me:se@cret@db/herald", "db"),
        ("one:9092,two:9092", "one:9092,two:9092"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert given.public(address) == shown


def test_the_environment_has_a_variable_for_each_server() -> None:
    endpoints = Endpoints(kafka="k:1", postgres="postgresql://p", redis="redis://r")

    assert endpoints.environment() == {
        "HERALD_KAFKA": "k:1",
        "HERALD_POSTGRES": "postgresql://p",
        "HERALD_REDIS": "redis://r",
    }
    assert {name.variable for name in ServerName} == set(endpoints.environment())
