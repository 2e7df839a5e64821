"""What does a notification say, in whose language and at whose time?

A template is a file ``<locale>/<kind>.v<version>.j2``; the highest version wins. It extends its locale's layout by name
and version, so that its own version stands for the whole text, and fills two blocks, ``headline`` and ``news``; the
layout has the others. `STEPS` are rendered in turn, each a placeholder for what follows, then the channel's own block;
those that a channel's text does not come to are left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jinja2
from jinja2 import meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.errors import HeraldError
from pipeline.events import EQUIPMENT, StatusEvent
from pipeline.localtime import local_time
from pipeline.notifications import Channel
from pipeline.sms_text import parts
from pipeline.subscriptions import Recipient
from pipeline.vocabulary import KINDS, Classifier

FALLBACK_LOCALE = "en"
MAX_SMS_PARTS = 10
SHORT_REASON = 80

SURE_SMS_UNITS = 66
"""What a part of an SMS surely holds: 67 units, one of them lost where a character of two would be split."""

STEPS = ("headline", "news", "line", "title")
TITLED = frozenset({Channel.EMAIL, Channel.PUSH})

PLACEHOLDERS = frozenset(
    {"shipment", "expected", "when", "place", "carrier", "vessel", "voyage", "equipment", "eta", "reason"}
    | {"short_reason"}
)
"""What a template may name, besides the steps before it; `placeholders` says what they are."""

TEMPLATE_FAULTS = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What evaluating an expression of a template can raise; the template is at fault, whatever the event."""

_PATH = re.compile(r"(?P<locale>[^/]+)/(?P<kind>[A-Z.]+)\.v(?P<version>[0-9]+)\.j2")
_LAYOUT = re.compile(r"[^/]+/layout\.v[0-9]+\.j2")
_UNDEFINED = re.compile(r"'(?P<name>[^']*)' is undefined|has no attribute '(?P<attribute>[^']*)'")

Block = Callable[[Context], Iterator[str]]


class TemplateError(HeraldError):
    """A text cannot be made: our fault, so a technical failure. ``placeholder`` is the name that it lacked, if any."""

    def __init__(self, template: str, problem: str, placeholder: str | None = None) -> None:
        super().__init__(f"{template}: {problem}")
        self.template = template
        self.problem = problem
        self.placeholder = placeholder


class Rendered(NamedTuple):
    """``template`` is the kind; with its version and locale it names one file. An SMS's ``title`` is empty."""

    title: str
    body: str
    template: str
    template_version: int
    locale: str


@dataclass(frozen=True, slots=True)
class _Template:
    kind: str
    locale: str
    version: int
    path: str
    blocks: dict[str, Block]
    steps: dict[Channel, list[str]]


class Renderer:
    """Compiles every template once, at the start.

    ``sources`` maps paths to texts. Raises `TemplateError` for one that does not compile, does not fit its layout or
    names a placeholder that there is not, for one that has no use under its name, and when a kind has no text in
    `FALLBACK_LOCALE`.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.DictLoader(sources),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # every channel takes plain text
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates: dict[tuple[str, str], _Template] = {}
        for path, source in sources.items():
            self._add(path, source)
        self._refuse_strays()
        for kind in KINDS:
            if (FALLBACK_LOCALE, kind) not in self._templates:
                raise TemplateError(f"{FALLBACK_LOCALE}/{kind}", "there is no such template")
        self._choose = lru_cache(maxsize=4_096)(self._first_in_chain)
        # What the recipients of the event at hand share; they mostly have a locale and a zone in common.
        self._event: StatusEvent | None = None
        self._texts: dict[tuple[str, str, Channel], Rendered] = {}
        self._contexts: dict[tuple[str, str], Context] = {}

    def render(self, event: StatusEvent, recipient: Recipient, channel: Channel) -> Rendered:
        """The text of one notification. Raises `TemplateError`.

        Cheapest when the recipients of an event follow each other: those of one locale and zone share it.
        """
        if event is not self._event:
            self._event, self._texts, self._contexts = event, {}, {}
        wanted = recipient.locale, recipient.timezone, channel
        text = self._texts.get(wanted)
        if text is None:
            text = self._texts[wanted] = self._render(event, *wanted)
        return text

    def _render(self, event: StatusEvent, locale: str, zone: str, channel: Channel) -> Rendered:
        template = self._choose(locale, event.kind)
        try:
            context = self._context(event, template, zone, channel)
            body = "".join(template.blocks[channel.value](context)).strip()
        except TEMPLATE_FAULTS as error:
            raise _explained(template.path, error) from error
        title = context.parent["title"] if channel in TITLED else ""
        surely_fits = 2 * len(body) <= MAX_SMS_PARTS * SURE_SMS_UNITS
        if channel is Channel.SMS and not surely_fits and (count := parts(body)) > MAX_SMS_PARTS:
            raise TemplateError(template.path, f"the SMS would take {count} parts, at most {MAX_SMS_PARTS} go out")
        return Rendered(title, body, template.kind, template.version, template.locale)

    def _add(self, path: str, source: str) -> None:
        match = _PATH.fullmatch(path)
        if match is None:
            return  # a layout, or a part of others
        locale, kind, version = match["locale"], match["kind"], int(match["version"])
        if kind not in KINDS:
            raise TemplateError(path, f"there is no kind {kind}")
        known = self._templates.get((locale, kind))
        if known is None or known.version < version:
            self._templates[locale, kind] = self._compiled(kind, locale, version, path, source)

    def _refuse_strays(self) -> None:
        """What nobody would ever read is a text under a name that was mistyped."""
        used = {
            name
            for source in self._sources.values()
            for name in meta.find_referenced_templates(self._environment.parse(source))
        }
        for path in self._sources.keys() - used:
            if not _PATH.fullmatch(path) and not _LAYOUT.fullmatch(path):
                raise TemplateError(path, "is no <locale>/<KIND>.v<number>.j2, and no template uses it")

    def _compiled(self, kind: str, locale: str, version: int, path: str, source: str) -> _Template:
        """The template's own blocks over its layout's: what ``extends`` would work out again in each render."""
        try:
            blocks: dict[str, Block] = dict(self._environment.get_template(path).blocks)
            parsed = self._parsed(path, source)
            names = _names(parsed)
            extends = parsed.find(nodes.Extends)
            if extends is not None and isinstance(extends.template, nodes.Const):
                layout = extends.template.value
                blocks = dict(self._environment.get_template(layout).blocks) | blocks
                names = _names(self._parsed(layout, self._sources[layout])) | names
        except jinja2.TemplateError as error:
            raise _explained(path, error) from error
        for needed in (*STEPS, *Channel):
            if needed not in blocks:
                raise TemplateError(path, f"neither it nor its layout has a block {needed}")
        return _Template(kind, locale, version, path, blocks, {one: _steps(one, names) for one in Channel})

    def _parsed(self, path: str, source: str) -> nodes.Template:
        """Also where an event would have to be of a rare kind to show it, a name that means nothing is a mistake."""
        parsed = self._environment.parse(source)
        unknown = meta.find_undeclared_variables(parsed) - PLACEHOLDERS - {*STEPS, "self", "super"}
        if unknown:
            name = min(unknown)
            raise TemplateError(path, f"there is no placeholder {name}", name)
        return parsed

    def _first_in_chain(self, locale: str, kind: str) -> _Template:
        for candidate in locale_chain(locale):
            template = self._templates.get((candidate, kind))
            if template is not None:
                return template
        return self._templates[FALLBACK_LOCALE, kind]

    def _context(self, event: StatusEvent, template: _Template, zone: str, channel: Channel) -> Context:
        context = self._contexts.get((template.locale, zone))
        if context is None:
            values = placeholders(event, template.locale, zone)
            context = Context(self._environment, values, template.path, template.blocks)
            self._contexts[template.locale, zone] = context
        # Jinja asks that nobody change what a context was given; each block looks it up anew, so adding to it is safe.
        for step in template.steps[channel]:
            if step not in context.parent:
                context.parent[step] = _line("".join(template.blocks[step](context)))
        return context


def _names(template: nodes.Template) -> dict[str, set[str]]:
    """Which names each block of a template mentions."""
    return {block.name: _mentioned(block) for block in template.find_all(nodes.Block)}


def _mentioned(block: nodes.Block) -> set[str]:
    names = {name.name for name in block.find_all(nodes.Name)}
    # What these come to stands elsewhere: it may need any step.
    elsewhere = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
    return names | set(STEPS) if "self" in names or any(map(block.find, elsewhere)) else names


def _steps(channel: Channel, names: Mapping[str, set[str]]) -> list[str]:
    """The `STEPS` that a channel's text comes to, in their order: each may mention those before it."""
    wanted = names[channel.value] | ({"title"} if channel in TITLED else set())
    steps: list[str] = []
    for step in reversed(STEPS):
        if step in wanted:
            steps.append(step)
            wanted = wanted | names[step]
    return steps[::-1]


def placeholders(event: StatusEvent, locale: str, zone: str) -> dict[str, Any]:
    """What a template may name; absent things are empty, and each is one line whatever the sender put in it."""
    place = event.location
    reason = _line(event.reason or "")
    return {
        "shipment": _line(event.shipment_id),
        "expected": event.classifier is not Classifier.ACTUAL,
        "when": local_time(event.occurred_at, locale, zone),
        "place": _line(place.name or place.unlocode or place.facility or "") if place else "",
        "carrier": _line(event.carrier or ""),
        "vessel": _line(event.vessel or ""),
        "voyage": _line(event.voyage or ""),
        "equipment": _line(event.equipment or event.referred(EQUIPMENT) or ""),
        "eta": local_time(event.estimated_arrival, locale, zone) if event.estimated_arrival else "",
        "reason": reason,
        "short_reason": reason if len(reason) <= SHORT_REASON else "",
    }


def locale_chain(locale: str) -> list[str]:
    """``pt_BR`` is looked for as ``pt-BR``, then ``pt``."""
    tags = locale.replace("_", "-").split("-")
    tags = [tags[0].lower(), *(tag.upper() if len(tag) == 2 else tag for tag in tags[1:])]
    return ["-".join(tags[:length]) for length in range(len(tags), 0, -1)]


def _line(text: str) -> str:
    """One line: a header or a message cannot be continued from inside a value."""
    return " ".join(text.split())


def _explained(path: str, error: Exception) -> TemplateError:
    match = _UNDEFINED.search(str(error)) if isinstance(error, jinja2.UndefinedError) else None
    if match:
        name = match["name"] or match["attribute"]
        return TemplateError(path, f"there is no placeholder {name}", name)
    return TemplateError(path, f"{type(error).__name__}: {error}")
