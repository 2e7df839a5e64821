import os

import click
import pytest
from click.testing import CliRunner

from tests.bench import output, recorded
from tests.bench.output import begin, record_option


@click.command()
@click.option("--quick", "in_haste", is_flag=True)
@click.option("--only", multiple=True)
@record_option
def bench(in_haste: bool, only: tuple[str, ...], record: bool) -> None:
    begin(record, but="--only")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have servers of their own in the environment."""
    for name in [name for name in os.environ if name.startswith("HERALD_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def a_commit_on_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "commit", lambda: "1234567")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.3, 4.0, 4.0))
    monkeypatch.setattr(output, "QUIET_WITHIN_S", 0.0)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--quick", "--only", "a"], 0),
        (["--record"], 0),
        (["--record", "--only", "a"], 0),
        (["--record", "--quick"], click.UsageError.exit_code),
    ],
)
def test_only_what_was_measured_as_shipped_is_recorded(options: list[str], code: int) -> None:
    found = CliRunner().invoke(bench, options)
    assert found.exit_code == code
    assert ("without --quick" in found.output) is (code != 0)


def test_what_a_setting_of_the_shell_has_changed_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERALD_COMMIT_INTERVAL_S", "5")
    assert CliRunner().invoke(bench, []).exit_code == 0
    found = CliRunner().invoke(bench, ["--record"])
    assert found.exit_code == click.UsageError.exit_code
    assert "unset HERALD_COMMIT_INTERVAL_S" in found.output


def test_what_is_no_commit_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "commit", lambda: "1234567+")
    assert CliRunner().invoke(bench, []).exit_code == 0
    found = CliRunner().invoke(bench, ["--record"])
    assert found.exit_code == click.UsageError.exit_code
    assert "figures of a commit" in found.output


def test_what_is_measured_beside_others_is_told_and_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (2.5, 0.0, 0.0))
    told = CliRunner().invoke(bench, [])
    assert (told.exit_code, "busy before (load 2.5)" in told.output) == (0, True)
    found = CliRunner().invoke(bench, ["--record"])
    assert found.exit_code == click.UsageError.exit_code
    assert "busy (load 2.5)" in found.output


def test_a_record_waits_until_the_machine_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([2.5, 1.5, 0.9])
    monkeypatch.setattr(os, "getloadavg", lambda: (next(loads), 0.0, 0.0))
    monkeypatch.setattr(output, "QUIET_WITHIN_S", 60.0)
    monkeypatch.setattr(output.time, "sleep", lambda seconds: None)
    assert CliRunner().invoke(bench, ["--record"]).exit_code == 0
