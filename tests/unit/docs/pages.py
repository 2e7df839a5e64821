"""Which documents are there, and what do they name?"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "k8s").rglob("*.md")])

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}.*\n)+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CELLS = re.compile(r"(?<!\\)\|")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return FENCED.sub("", read(page))


def code(page: Path) -> list[str]:
    """Every line that a reader may type, or be told to."""
    blocks = [body for language, body in FENCED.findall(read(page)) if language != "text"]
    found = [*blocks, *INDENTED.findall(prose(page)), *INLINE.findall(prose(page))]
    return [line.strip() for one in found for line in one.splitlines()]


def fenced(page: Path, language: str) -> list[str]:
    return [body for told, body in FENCED.findall(read(page)) if told == language]


def anchors(page: Path) -> set[str]:
    """The headings as GitHub links to them."""
    plain = (heading.replace("`", "").lower() for heading in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def rows(page: Path, first_cell: str) -> Iterator[list[str]]:
    """The rows of tables whose first cell, in code style, matches the pattern; without the backticks."""
    for line in read(page).splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in CELLS.split(line)[1:-1]]
            if re.fullmatch(f"`{first_cell}`", cells[0]):
                yield [cell.strip("`") for cell in cells]
