"""The queries that the documents give an analyst or an operator are ones that Postgres takes."""

import re
from pathlib import Path

import asyncpg
import pytest

ROOT = Path(__file__).parents[3]
SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)
COMMENT = re.compile(r"--.*")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def queries(page: Path) -> list[str]:
    code = ";".join(COMMENT.sub("", block) for block in SQL.findall(page.read_text("utf-8")))
    return [query.strip() for query in code.split(";") if query.strip()]


QUERIES = [
    pytest.param(query, id=f"{page.name}-{number}") for page in PAGES for number, query in enumerate(queries(page), 1)
]


def test_there_are_some() -> None:
    assert len(QUERIES) >= 4


@pytest.mark.parametrize("query", QUERIES)
async def test_postgres_takes_it(database: str, query: str) -> None:
    connection = await asyncpg.connect(database, timeout=10, command_timeout=10)
    try:
        await connection.fetch(query)
    finally:
        await connection.close()
