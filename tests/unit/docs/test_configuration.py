"""`docs/configuration.md` is `settings.Settings`, told to people: nothing more, nothing less, the same defaults."""

import os
import re
from pathlib import Path

import pytest

from settings import Settings
from tests.unit.docs.pages import PAGES, ROOT, name, read, rows

PREFIX = "HERALD_"
NOT_SET = "—"
TABLE = {row[0]: row for row in rows(ROOT / "docs" / "configuration.md", r"HERALD_[A-Z_]+")}
NAMES = {PREFIX + field.upper() for field in Settings.model_fields}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [one for one in os.environ if one.startswith(PREFIX)]:
        monkeypatch.delenv(variable)


def test_every_setting_is_there() -> None:
    assert TABLE.keys() == NAMES
    assert all(len(row) == 4 and row[3] for row in TABLE.values())


def test_its_defaults_are_the_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Settings()
    for variable, row in TABLE.items():
        if row[1] != NOT_SET:
            monkeypatch.setenv(variable, row[1])
    assert Settings() == real


def test_a_default_is_left_out_only_where_nothing_is_set() -> None:
    real = Settings().model_dump(mode="json")
    left_out = {variable for variable, row in TABLE.items() if row[1] == NOT_SET}
    assert left_out == {PREFIX + field.upper() for field, value in real.items() if not value and value != 0}


@pytest.mark.parametrize(("suffix", "unit"), [("_S", "s"), ("_BYTES", "bytes")])
def test_units_agree_with_names(suffix: str, unit: str) -> None:
    assert {row[2] for variable, row in TABLE.items() if variable.endswith(suffix)} == {unit}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_document_names_a_setting_that_is_not_there(page: Path) -> None:
    assert set(re.findall(r"\bHERALD_[A-Z_]+[A-Z]", read(page))) <= NAMES
