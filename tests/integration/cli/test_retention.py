"""`herald retention` says what is wrong with Postgres: that it is away is not that it lacks the schema."""

from click.testing import CliRunner

from cli.retention import retention

HINT = "has herald migrate been run?"


def test_a_schema_that_is_not_there_is_told_with_what_makes_it(empty_database: str) -> None:
    result = CliRunner(env={"HERALD_POSTGRES": empty_database}).invoke(retention)
    assert (result.exit_code, HINT in result.output) == (1, True), result.output


def test_a_postgres_that_is_away_is_not_told_to_migrate() -> None:
    result = CliRunner(env={"HERALD_POSTGRES": "postgresql://u:secret@127.0.0.1:1/x"}).invoke(retention)
    assert (result.exit_code, HINT in result.output, "secret" in result.output) == (1, False, False)
    assert "postgres: ConnectionRefusedError" in result.output
