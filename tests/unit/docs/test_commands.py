"""Commands, and what a newcomer is told to publish, work as they stand in the documents."""

import re
from pathlib import Path

import click
import pytest

import topics
from cli.items import Record
from cli.items import read as read_items
from cli.main import herald
from tests.unit.docs.pages import PAGES, ROOT, code, fenced, name

CALL = re.compile(r"(?<![\w.-])herald ([a-z].*)")
TARGET = re.compile(r"(?<![\w./-])make((?: [A-Z]+=\S+)*) ([a-z][a-z-]*)")
PIPED_ON = re.compile(r" [|>&#;]| \\$")

CALLS = sorted(
    {
        (name(page), PIPED_ON.split(call)[0].strip(')" '))
        for page in PAGES
        for line in code(page)
        for call in CALL.findall(line)
    }
)


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and what is left of them."""
    command: click.Command = herald
    while isinstance(command, click.Group):
        assert words, "a command is missing"
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_herald_has_the_command_with_its_options(page: str, call: str) -> None:
    command, rest = command_of(call.split())
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known


def test_every_command_is_in_some_document() -> None:
    told = {call.split()[0] for _, call in CALLS}
    assert set(herald.list_commands(click.Context(herald))) <= told


def test_make_has_the_targets() -> None:
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = {target for page in PAGES for line in code(page) for _, target in TARGET.findall(line)}
    assert {"demo", "test"} <= told
    assert told <= there


@pytest.fixture
def readme() -> Path:
    return ROOT / "README.md"


def test_the_first_file_to_publish_is_fit_for_it(readme: Path) -> None:
    (content,) = re.findall(r"<<'EOF'\n(.*?)EOF\n", "".join(fenced(readme, "sh")), re.DOTALL)
    found = [one for one in read_items(content.encode()) if isinstance(one, Record)]
    assert [(one.topic, one.key) for one in found] == [(topics.SUBSCRIPTIONS, b"BKG-1"), (topics.STATUS, b"BKG-1")]


def test_the_template_is_one_of_ours(readme: Path) -> None:
    (shown,) = fenced(readme, "jinja")
    assert shown.strip() == (ROOT / "templates" / "en" / "ARRI.v1.j2").read_text(encoding="utf-8").strip()
