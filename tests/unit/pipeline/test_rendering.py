"""Every kind of event has its text on every channel in every locale, and a bad template is an error by name."""

from datetime import UTC, datetime

import pytest

import templates
from pipeline import sms_text
from pipeline.events import Location, Reference, StatusEvent
from pipeline.notifications import Channel
from pipeline.rendering import PLACEHOLDERS, Rendered, Renderer, TemplateError, locale_chain, placeholders
from pipeline.subscriptions import Recipient
from pipeline.vocabulary import KINDS, Classifier, StatusCode

SOURCES = templates.load()
MOMENT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
EQUIPMENT = "EXLU1234567"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SOURCES)


def person(locale: str = "en", timezone: str = "Europe/Moscow") -> Recipient:
    return Recipient(recipient_id="anna", addresses={}, locale=locale, timezone=timezone)


def event(kind: str = "LOAD", *, full: bool = True, **fields: object) -> StatusEvent:
    code, _, expected = kind.partition(".")
    known: dict[str, object] = {"shipment_id": "EXB1"}
    more: dict[str, object] = {
        "location": Location(unlocode="RUMOW", name="Москва"),
        "carrier": "Example Lines",
        "vessel": "Volga Star",
        "voyage": "2612W",
        "references": (Reference(type="EQ", value=EQUIPMENT),),
        "estimated_arrival": datetime(2026, 11, 25, 7, 0, tzinfo=UTC),
        "reason": "Bad weather",
    }
    return StatusEvent(
        event_id="e",
        status=StatusCode(code),
        classifier=Classifier.ESTIMATED if expected else Classifier.ACTUAL,
        occurred_at=MOMENT,
        **(known | (more if full else {}) | fields),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("full", [True, False], ids=["all is known", "only what must be"])
@pytest.mark.parametrize("locale", ["en", "ru"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_on_every_channel(renderer: Renderer, kind: str, locale: str, full: bool) -> None:
    for channel in Channel:
        text = renderer.render(event(kind, full=full), person(locale), channel)
        assert (text.template, text.template_version, text.locale) == (kind, 1, locale)
        assert "EXB1" in (text.title or text.body)
        assert text.body == text.body.strip()
        assert bool(text.title) is (channel is not Channel.SMS)
        for flaw in ("  ", " .", "..", "None", "{", "\n\n\n"):
            assert flaw not in text.title + text.body
        if channel is not Channel.EMAIL:
            assert "\n" not in text.body
        is_russian = any("а" <= letter <= "я" for letter in text.body)
        assert is_russian is (locale == "ru" or (full and "Москва" in text.body))


def test_an_sms_of_each_locale(renderer: Renderer) -> None:
    english = renderer.render(event(), person("en"), Channel.SMS)
    russian = renderer.render(event(), person("ru"), Channel.SMS)
    assert english.body == (
        "EXB1: Container EXLU1234567 has been loaded on board Volga Star. Москва, 23 Nov 2026, 10:00 (UTC+3)."
        " ETA 25 Nov 2026, 10:00 (UTC+3). Reason: Bad weather"
    )
    assert russian.body == (
        "EXB1: Контейнер EXLU1234567 погружен на судно Volga Star. Москва, 23.11.2026, 10:00 (UTC+3)."
        " Ожидаемое прибытие: 25.11.2026, 10:00 (UTC+3). Причина: Bad weather"
    )


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("ru-RU", "ru"), ("ru_RU", "ru"), ("RU", "ru"), ("pt-BR", "en"), ("en-GB", "en"), ("xx", "en")],
)
def test_the_chosen_locale_is_recorded(renderer: Renderer, asked: str, chosen: str) -> None:
    assert renderer.render(event(), person(asked), Channel.SMS).locale == chosen


def test_the_chain_goes_from_the_region_to_the_language() -> None:
    assert locale_chain("zh_Hant_tw") == ["zh-Hant-TW", "zh-Hant", "zh"]


def test_the_highest_version_wins() -> None:
    second = SOURCES["en/LOAD.v1.j2"].replace("has been loaded", "is aboard")
    renderer = Renderer({"en/LOAD.v10.j2": second, "en/LOAD.v9.j2": second} | SOURCES)
    text = renderer.render(event(), person(), Channel.SMS)
    assert text.template_version == 10
    assert "is aboard" in text.body


def test_recipients_of_one_event_each_have_their_own_zone(renderer: Renderer) -> None:
    told = event()
    texts = [renderer.render(told, person(timezone=zone), Channel.SMS).body for zone in ("UTC", "Asia/Tokyo", "UTC")]
    assert texts[0] == texts[2] != texts[1]


def test_events_that_follow_each_other_do_not_mix(renderer: Renderer) -> None:
    first = renderer.render(event(vessel="First"), person(), Channel.SMS).body
    second = renderer.render(event(vessel="Second"), person(), Channel.SMS).body
    assert "First" in first
    assert "Second" in second


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x0b", "\x1c", "\x85", "\u2028"])
def test_a_value_cannot_start_a_new_line(renderer: Renderer, separator: str) -> None:
    hostile = event(vessel=f"Star{separator}Bcc: all@example.org", shipment_id=f"EXB1{separator}X: y")
    clean = event(vessel="Star Bcc: all@example.org", shipment_id="EXB1 X: y")
    for channel in Channel:
        assert renderer.render(hostile, person(), channel) == renderer.render(clean, person(), channel)


def test_a_value_is_no_template(renderer: Renderer) -> None:
    assert "{{ 7 * 7 }}" in renderer.render(event(vessel="{{ 7 * 7 }}"), person(), Channel.SMS).body


def test_a_long_reason_stays_out_of_short_messages(renderer: Renderer) -> None:
    told = event(reason="x" * 200)
    assert "xxx" not in renderer.render(told, person(), Channel.SMS).body
    assert "x" * 200 in renderer.render(told, person(), Channel.EMAIL).body


def test_an_sms_of_too_many_parts_is_refused_never_cut() -> None:
    verbose = SOURCES["en/LOAD.v1.j2"].replace("has been loaded", "я" * 670)
    with pytest.raises(TemplateError, match="the SMS would take 13 parts"):
        Renderer(SOURCES | {"en/LOAD.v1.j2": verbose}).render(event(), person(), Channel.SMS)
    longest = event(vessel="Я" * 100, location=Location(name="Ю" * 100), shipment_id="s" * 100, reason="ы" * 80)
    assert sms_text.parts(Renderer(SOURCES).render(longest, person(), Channel.SMS).body) <= 10


def test_what_is_included_may_need_any_step() -> None:
    """An SMS has no title of its own, and whoever writes its template may still want the headline in it."""
    layout = SOURCES["en/layout.v1.j2"].replace(
        "{% block sms %}{{ shipment }}: {{ line }}{% endblock %}",
        '{% block sms %}{% include "en/part.j2" %}{% endblock %}',
    )
    renderer = Renderer(SOURCES | {"en/layout.v1.j2": layout, "en/part.j2": "{{ headline }}! {{ line }}"})
    assert renderer.render(event(), person(), Channel.SMS).body.startswith("Loaded! Container")


@pytest.mark.parametrize("name", ["LOAD.j2", "load.v2.j2", "LAOD.v1.j2", "LOAD.v2.txt.j2"])
def test_a_text_under_a_name_that_means_nothing_ends_the_start(name: str) -> None:
    with pytest.raises(TemplateError, match=name):
        Renderer(SOURCES | {f"en/{name}": SOURCES["en/LOAD.v1.j2"]})


def test_a_layout_is_looked_through_too() -> None:
    layout = SOURCES["en/layout.v1.j2"].replace("{% if vessel %}", "{% if ship %}")
    with pytest.raises(TemplateError, match=r"en/layout\.v1\.j2: there is no placeholder ship"):
        Renderer(SOURCES | {"en/layout.v1.j2": layout})


def test_every_placeholder_that_may_be_named_is_there() -> None:
    assert placeholders(event(), "en", "UTC").keys() == PLACEHOLDERS


def render_with(news: str) -> Rendered:
    source = '{% extends "en/layout.v1.j2" %}{% block headline %}x{% endblock %}{% block news %}' + news
    renderer = Renderer(SOURCES | {"en/LOAD.v2.j2": source + "{% endblock %}"})
    return renderer.render(event(), person(), Channel.SMS)


@pytest.mark.parametrize(
    ("news", "placeholder"),
    [
        ("{{ ship }}", "ship"),
        ("{{ vessel.flag }}", "flag"),
        ("{% if ship %}{% endif %}", "ship"),
        ("{{ 1 // 0 }}", None),
        ("{{ vessel + 1 }}", None),
        ("{{ ''.__class__.__mro__ }}", None),
        ("{{ [].append(1) }}", None),
    ],
    ids=["unknown", "unknown of a known", "tested", "arithmetic", "types", "escape attempt", "mutation"],
)
def test_a_failed_render_is_an_error_by_name(news: str, placeholder: str | None) -> None:
    with pytest.raises(TemplateError) as caught:
        render_with(news)
    assert caught.value.template == "en/LOAD.v2.j2"
    assert caught.value.placeholder == placeholder


@pytest.mark.parametrize(
    "sources",
    [
        SOURCES | {"en/LOAD.v2.j2": "{% if %}"},
        SOURCES | {"en/LOAD.v2.j2": '{% extends "en/layout.v9.j2" %}'},
        SOURCES | {"en/LOAD.v2.j2": '{% extends "en/layout.v1.j2" %}{% block news %}x{% endblock %}'},
        SOURCES
        | {
            "en/LOAD.v2.j2": SOURCES["en/LOAD.v1.j2"] + "{% block sms %}{% if eta %}{{ etta }}{% endif %}{% endblock %}"
        },
        {path: source for path, source in SOURCES.items() if path != "en/LOAD.v1.j2"},
    ],
    ids=["does not compile", "no such layout", "a block is missing", "a name means nothing", "English lacks a kind"],
)
def test_a_broken_set_of_templates_ends_the_start(sources: dict[str, str]) -> None:
    with pytest.raises(TemplateError, match="en/LOAD"):
        Renderer(sources)
