"""`herald migrate`: forwards without a question, back only when somebody has said yes."""

from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from cli import migrate as module
from cli.doctor_kafka import CannotAsk
from cli.stack import MIGRATIONS
from stack import StackError

DSN = "postgresql://somebody@db.example.org/herald"
QUESTION = "This deletes every outcome"
CHANGESETS = ["0001-outcomes", "0002-ledger", "0003-view"]


class Change(NamedTuple):
    """Something that was done to a database."""

    what: str
    dsn: str


class Liquibase:
    """Writes down what it is told to do."""

    def __init__(self, done: list[Change], dsn: str) -> None:
        self._done = done
        self._dsn = dsn

    def update(self) -> None:
        self._done.append(Change("update", self._dsn))

    def rollback_all(self) -> None:
        self._done.append(Change("rollback", self._dsn))

    def rollback(self, count: int) -> None:
        self._done.append(Change(f"rollback of {count}", self._dsn))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Change]:
    """What was done, in order, to a Postgres that answers."""
    done: list[Change] = []

    def liquibase(dsn: str, changelog_root: Path) -> Liquibase:
        assert changelog_root == MIGRATIONS
        return Liquibase(done, dsn)

    monkeypatch.setattr(module, "Liquibase", liquibase)
    monkeypatch.setattr(module, "make_partitions", lambda dsn: done.append(Change("partitions", dsn)))
    monkeypatch.setattr(module, "check", lambda server, address, cancelled: None)
    monkeypatch.setattr(module, "applied_changesets", applied)
    monkeypatch.setattr(module, "known_changesets", lambda: CHANGESETS)
    return done


async def applied(dsn: str, timeout_s: float) -> list[str]:
    return CHANGESETS


def migrate(*arguments: str, said: str = "") -> Result:
    return CliRunner(env={"HERALD_POSTGRES": DSN}).invoke(module.migrate, list(arguments), input=said)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("n\n", id="no"),
        pytest.param("\n", id="nothing"),
        pytest.param("perhaps\nno\n", id="neither, then no"),
        pytest.param("", id="nobody is there"),
    ],
)
def test_a_rollback_that_was_not_confirmed_does_nothing(done: list[Change], said: str) -> None:
    result = migrate("--rollback-all", said=said)
    assert QUESTION in result.output
    assert (result.exit_code, done) == (1, [])


def test_a_rollback_that_was_confirmed_takes_everything_back_and_nothing_else(done: list[Change]) -> None:
    result = migrate("--rollback-all", said="y\n")
    assert QUESTION in result.output
    assert (result.exit_code, done) == (0, [Change("rollback", DSN)])


def test_a_rollback_of_some_names_them_the_latest_first_and_asks(done: list[Change]) -> None:
    result = migrate("--rollback", "2", said="y\n")
    assert result.output.splitlines()[:3] == ["would be taken back:", "0003-view", "0002-ledger"]
    assert "[y/N]" in result.output
    assert (result.exit_code, done) == (0, [Change("rollback of 2", DSN)])


@pytest.mark.parametrize(
    ("arguments", "said", "says"),
    [
        pytest.param(["--rollback", "1"], "n\n", "0003-view", id="not confirmed"),
        pytest.param(["--rollback", "3"], "y\n", "there are 3 changesets; --rollback-all", id="all of them"),
        pytest.param(["--rollback", "0"], "y\n", "x>=1", id="none"),
        pytest.param(["--rollback", "1", "--rollback-all"], "y\n", "only one of them", id="both"),
    ],
)
def test_a_rollback_of_some_that_is_not_meant_does_nothing(
    done: list[Change], arguments: list[str], said: str, says: str
) -> None:
    result = migrate(*arguments, said=said)
    assert says in result.output
    assert (bool(result.exit_code), done) == (True, [])


def test_what_a_later_release_has_added_is_left_to_it(done: list[Change], monkeypatch: pytest.MonkeyPatch) -> None:
    """Liquibase would pass over it, and take back what nobody has been asked about."""
    monkeypatch.setattr(module, "known_changesets", lambda: CHANGESETS[:2])
    result = migrate("--rollback", "1", said="y\n")
    assert "0003-view: of a later release" in result.output
    assert (result.exit_code, done) == (1, [])


def test_a_postgres_that_does_not_say_what_was_run_is_named(
    done: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(dsn: str, timeout_s: float) -> list[str]:
        raise CannotAsk("TimeoutError")

    monkeypatch.setattr(module, "applied_changesets", silent)
    result = migrate("--rollback", "1", said="y\n")
    assert "HERALD_POSTGRES: TimeoutError" in result.output
    assert (result.exit_code, done) == (1, [])


def test_without_it_nobody_is_asked_and_partitions_follow_the_schema(done: list[Change]) -> None:
    result = migrate(said="y\n")
    assert QUESTION not in result.output
    assert (result.exit_code, done) == (0, [Change("update", DSN), Change("partitions", DSN)])


@pytest.mark.parametrize(
    "arguments", [[], ["--rollback-all"], ["--rollback", "1"]], ids=["forwards", "back", "one back"]
)
def test_a_postgres_that_does_not_answer_is_named_before_anybody_is_asked(
    done: list[Change], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def away(server: object, address: str, cancelled: object) -> None:
        raise StackError("HERALD_POSTGRES names db.example.org, which does not answer")

    monkeypatch.setattr(module, "check", away)
    result = migrate(*arguments, said="y\n")
    assert "db.example.org, which does not answer" in result.output
    assert QUESTION not in result.output
    assert (result.exit_code, done) == (1, [])
