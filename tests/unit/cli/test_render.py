"""What is printed is what would go out: the text by itself, in the recipient's language and zone."""

import codecs
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import templates
from cli.render import render
from pipeline import documents
from pipeline.events import StatusEvent
from pipeline.notifications import Channel
from pipeline.rendering import Renderer
from pipeline.subscriptions import Recipient

FIXTURES = Path(__file__).parents[2] / "fixtures"
OWN = FIXTURES / "status-own.json"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(render, [str(argument) for argument in arguments])


@pytest.mark.parametrize("channel", list(Channel))
def test_a_text_is_printed_as_it_goes_out(channel: Channel) -> None:
    recipient = Recipient(recipient_id="anna", addresses={}, locale="ru", timezone="Europe/Moscow")
    (event,) = documents.decode(OWN.read_bytes(), None)
    assert isinstance(event, StatusEvent)
    text = Renderer(templates.load()).render(event, recipient, channel)
    result = run(OWN, "--locale", "ru", "--timezone", "Europe/Moscow", "--channel", channel)
    assert result.exit_code == 0, result.output
    name, _, said = result.output.partition("\n")
    assert name.endswith(f": ru/LOAD.v{text.template_version}")
    assert ("parts: " in name) is (channel is Channel.SMS)
    assert said == "\n".join(filter(None, [text.title, text.body])) + "\n\n"
    assert "10:00 (UTC+3)" in said


def test_every_event_of_a_document_is_told_on_every_channel() -> None:
    result = run(FIXTURES / "dcsa-v2-array.json")
    assert result.exit_code == 0, result.output
    assert sum(": en/" in line for line in result.output.splitlines()) == 3 * len(Channel)


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(codecs.BOM_UTF8 + OWN.read_bytes())
    assert run(file).exit_code == 0


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(OWN.read_bytes().replace(b'"LOAD"', b'"TELE"'))
    result = run(file)
    assert (result.exit_code, result.output) == (1, "Error: status: invalid enum value 'TELE'\n")


@pytest.mark.parametrize("arguments", [["--locale", "русский"], ["--timezone", "Moscow time"]])
def test_what_no_subscription_may_hold_is_refused(arguments: list[str]) -> None:
    assert run(OWN, *arguments).exit_code == 2
