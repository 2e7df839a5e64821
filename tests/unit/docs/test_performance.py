"""The figures that the documents tell are those that were recorded last."""

from pathlib import Path

import msgspec
import pytest

from tests.bench import page, recorded
from tests.unit.docs.pages import name, read

FIGURES = msgspec.json.decode(recorded.PATH.read_bytes())


@pytest.mark.parametrize("path", page.PAGES, ids=name)
def test_every_part_is_as_recorded(path: Path) -> None:
    assert page.written(read(path), FIGURES) == read(path)


def test_every_part_has_its_place() -> None:
    there = {part["name"] for path in page.PAGES for part in page.PART.finditer(read(path))}
    assert there == {path.name.removesuffix(".md.j2") for path in page.PARTS.iterdir()}


def test_a_figure_that_has_changed_changes_the_page() -> None:
    there = "<!-- figures: headline -->\n\nolder\n\n<!-- end of figures -->\n"
    other = {**FIGURES, "mailing": {**FIGURES["mailing"], "seconds": 4711.0}}
    assert "4,711 s" in page.written(there, other)
    assert page.written(there, FIGURES) != page.written(there, other)
