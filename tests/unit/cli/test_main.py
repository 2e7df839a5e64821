"""`herald` says which version it is."""

from importlib.metadata import version

from click.testing import CliRunner

from cli.main import herald


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(herald, ["--version"])
    assert (result.exit_code, result.output) == (0, f"herald, version {version('cargo-herald')}\n")
