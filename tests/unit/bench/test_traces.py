import re
from dataclasses import replace

import pytest

from pipeline.notifications import Channel, Lane
from tests.bench import canvas
from tests.bench.hop_report import MEANINGS, hops_table, in_ms, print_goal
from tests.bench.lanes_plot import seconds_of
from tests.bench.report import console
from tests.bench.traces import HOPS, Trace, hop, hops

TRACE = Trace(channel=Channel.SMS, lane=Lane.BULK, published=10.0, enriched=10.01, told=10.03, ended=10.09, stored=10.1)


def test_hops_add_up_to_the_way() -> None:
    found = in_ms(hops([TRACE]))
    parts = sum(found[name]["p50"] for name in ("enrich", "send", "answer", "store"))
    assert parts == pytest.approx(found["until its row"]["p50"]) == 100.0
    assert found["until told"]["p50"] == 30.0


def test_a_clock_in_whole_milliseconds_makes_nothing_negative() -> None:
    assert hop([replace(TRACE, enriched=9.9999)], "enrich") == [0.0]


def test_every_hop_has_its_meaning() -> None:
    assert MEANINGS.keys() == HOPS.keys()
    assert hops_table("title", hops([TRACE])).row_count == len(HOPS)


def test_a_goal_is_met_only_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert [print_goal(console(), "p50", found, 150) for found in (149, 150)] == [True, False]
    assert [line[:1] for line in capsys.readouterr().err.splitlines()] == ["✓", "✗"]


def test_seconds_with_hardly_any_notification_are_left_out() -> None:
    assert seconds_of([TRACE] * 20 + [replace(TRACE, published=11.5)], start=10.0) == {0: pytest.approx([0.1] * 20)}


def test_dark_readers_get_other_ink() -> None:
    svg = canvas.themed(f'<svg><defs></defs><text style="fill: {canvas.INK}">x</text></svg>')
    assert f'[style*="fill: {canvas.INK}"]' in svg
    assert re.search(r"prefers-color-scheme: dark", svg)
    assert f"fill: {canvas.DARK[canvas.INK]} !important" in svg
