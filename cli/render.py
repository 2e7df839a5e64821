"""``herald render``: what would be said of an event, without telling anybody."""

import codecs
from pathlib import Path

import click
import msgspec

import templates
from pipeline import documents
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.notifications import Channel
from pipeline.rendering import Renderer, TemplateError
from pipeline.sms_text import parts
from pipeline.subscriptions import Recipient


@click.command()
@click.argument("file", metavar="EVENT.json", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--locale", default="en", show_default=True, help="The recipient's.")
@click.option("--timezone", default="UTC", show_default=True, help="The recipient's, by its IANA name.")
@click.option("--channel", type=click.Choice([one.value for one in Channel]), help="Only this; default: all of them.")
def render(file: Path, locale: str, timezone: str, channel: str | None) -> None:
    """Print title and body as they would go out, for each event of a document.

    Exit code 1 where an event is refused, or its text cannot be made.
    """
    recipient = _recipient(locale, timezone)
    events = documents.decode(file.read_bytes().removeprefix(codecs.BOM_UTF8), None)
    try:
        renderer = Renderer(templates.load())
        for event in events:
            if isinstance(event, StatusEvent):
                for one in [Channel(channel)] if channel else Channel:
                    click.echo(_said(renderer, event, recipient, one))
    except TemplateError as error:
        raise click.ClickException(str(error)) from error
    if refusals := [str(one) for one in events if isinstance(one, InvalidInput)]:
        raise click.ClickException("\n".join(refusals))


def _recipient(locale: str, timezone: str) -> Recipient:
    """Raises UsageError for what a subscription must not hold either."""
    given = {"recipient_id": "you", "addresses": {}, "locale": locale, "timezone": timezone}
    try:
        return msgspec.convert(given, Recipient)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from error


def _said(renderer: Renderer, event: StatusEvent, recipient: Recipient, channel: Channel) -> str:
    """Which text it is, then the text."""
    text = renderer.render(event, recipient, channel)
    size = f", parts: {parts(text.body)}" if channel is Channel.SMS else ""
    name = f"{event.event_id} by {channel}{size}: {text.locale}/{text.template}.v{text.template_version}"
    return "\n".join(filter(None, [click.style(name, dim=True), text.title, text.body])) + "\n"
