"""Links lead somewhere, and the folders that are spoken of are there."""

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import LINK, PAGES, ROOT, anchors, name, prose, read

every_page = pytest.mark.parametrize("page", PAGES, ids=name)


@every_page
def test_relative_links_resolve(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_map_for_contributors_names_what_is_there() -> None:
    found = re.findall(r"^\| (`.+?) \|", read(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    paths = [path for cell in found for path in re.findall(r"`([^`]+)`", cell)]
    assert "pipeline/" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_map_for_contributors_leaves_no_package_out() -> None:
    packages = {f"{one.parent.name}/" for one in ROOT.glob("*/__init__.py")}
    map_of = read(ROOT / "CONTRIBUTING.md")
    assert {package for package in packages if f"`{package}`" not in map_of} == set()


def test_decisions_are_numbered_without_gaps() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert read(page).startswith(f"# {int(page.name[:4])}. ")
