"""What do the documents say of the figures? Parts of them are written from ``docs/performance.json``.

A part begins with ``<!-- figures: <name> -->`` and ends with ``<!-- end of figures -->``; its text is
``parts/<name>.md.j2``. Recording writes all of them anew, and a test holds the documents to it: no table is older than
what was measured last.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2
import msgspec

from tests.bench import goals, recorded
from tests.bench.recorded import Figures

ROOT = recorded.PATH.parents[1]
PARTS = Path(__file__).with_name("parts")
# The roles that work where everybody is told by SMS.
BUSY = ("enrich", "send-sms", "sink")
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
PART = re.compile(
    r"(?P<begin><!-- figures: (?P<name>\w+) -->\n\n)(?P<text>.*?)(?P<end>\n<!-- end of figures -->)", re.DOTALL
)


def rewrite(pages: Iterable[Path] = PAGES) -> None:
    """Every part of the pages, from what is recorded now."""
    figures = msgspec.json.decode(recorded.PATH.read_bytes())
    for page in pages:
        page.write_text(written(page.read_text("utf-8"), figures), "utf-8")


def written(page: str, figures: Mapping[str, Figures]) -> str:
    """The page with its parts as ``figures`` have it. jinja2.TemplateError where one lacks what it tells of."""
    parts = _environment()

    def text(part: re.Match[str]) -> str:
        told = parts.get_template(f"{part['name']}.md.j2").render(figures, goal=goals)
        return f"{part['begin']}{told}{part['end']}"

    return PART.sub(text, page)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 Markdown of our own figures
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for told in (n, spread, reached, of, sure, roles, idle, most):
        environment.filters[told.__name__] = told
    return environment


def n(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}"


def spread(figures: Figures, name: str, digits: int = 0) -> str:
    low, high = figures[f"{name}_range"]
    return f"{n(figures[name], digits)} ({n(low, digits)} to {n(high, digits)})"


def reached(whether: bool) -> str:
    return "yes" if whether else "**no**"


def of(figures: Figures) -> str:
    """On what they were had."""
    return f"Commit {figures['commit']}, {figures['recorded_on']}, {figures['cores']} cores, Python {figures['python']}"


def sure(figures: Figures) -> str:
    return f"Lost: {figures['lost']}, told twice: {figures['duplicates']}"


def roles(point: Figures) -> str:
    """CPU by role, whatever number of workers it has: those that work, and the others together."""
    sums = dict.fromkeys((*BUSY, "idle"), 0.0)
    for worker, us in point["cpu_us_by_worker"].items():
        role = _role(worker)
        sums[role if role in sums else "idle"] += us
    return " / ".join(map(n, sums.values()))


def idle(by_worker: Mapping[str, float]) -> float:
    """The sum of those that wait."""
    return sum(value for worker, value in by_worker.items() if _role(worker) not in BUSY)


def most(by_worker: Iterable[Mapping[str, float]]) -> str:
    """The most that a worker of each role had anywhere."""
    found: dict[str, float] = {}
    for worker, value in (item for one in by_worker for item in one.items()):
        found[_role(worker)] = max(value, found.get(_role(worker), 0.0))
    return ", ".join(f"{role} {n(value)}" for role, value in found.items())


def _role(worker: str) -> str:
    return re.sub(r"-[0-9]+$", "", worker)
