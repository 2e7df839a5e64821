import os

import click
import pytest
from click.testing import CliRunner

from tests.bench.output import record_option, refuse_other_options


@click.command()
@click.option("--quick", "in_haste", is_flag=True)
@click.option("--only", multiple=True)
@record_option
def bench(in_haste: bool, only: tuple[str, ...], record: bool) -> None:
    refuse_other_options(record, but="--only")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have servers of their own in the environment."""
    for name in [name for name in os.environ if name.startswith("HERALD_")]:
        monkeypatch.delenv(name)


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
