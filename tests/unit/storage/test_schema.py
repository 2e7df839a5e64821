"""The migrations and the code speak the same words; the changesets can all be taken back."""

import re
from pathlib import Path

import pytest

import storage
from pipeline.ledger import Disposition
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import FINAL_STATUSES
from storage import sql

MIGRATIONS = Path(storage.__file__).parent / "migrations"
CHANGESETS = sorted((MIGRATIONS / "changesets").glob("*.sql"))


def allowed(table: str, column: str) -> set[str]:
    text = [one.read_text() for one in CHANGESETS if f"CREATE TABLE {table} (" in one.read_text()][-1]
    found = re.search(rf"{column} IN \(([^)]*)\)", text[text.index(f"CREATE TABLE {table} (") :])
    assert found is not None
    return set(re.findall(r"'([^']*)'", found[1]))


def test_the_checks_allow_the_pipelines_words_and_no_others():
    assert allowed("notification_outcome", "status") == {str(status) for status in FINAL_STATUSES}
    assert allowed("notification_outcome", "channel") == {str(channel) for channel in Channel}
    assert allowed("notification_outcome", "lane") == {str(lane) for lane in Lane}
    assert allowed("event_ledger", "disposition") == {str(disposition) for disposition in Disposition}


@pytest.mark.parametrize("changeset", CHANGESETS, ids=lambda path: path.stem)
def test_each_changeset_is_named_after_its_file_and_has_its_rollback(changeset):
    text = changeset.read_text()
    assert text.startswith("--liquibase formatted sql\n")
    assert re.findall(r"--changeset herald:(\S+)", text) == [changeset.stem.replace("_", "-")]
    assert re.findall(r"^--rollback \S", text, re.MULTILINE)


@pytest.mark.parametrize("table", [sql.OUTCOMES, sql.EVENTS], ids=lambda table: table.name)
def test_every_column_that_is_copied_in_is_kept(table):
    into, chosen = re.findall(r"(?:INTO \w+ \(|SELECT)([\w\s,]+)(?:\)|FROM)", table.keep)
    words = [re.findall(r"\w+", part) for part in (into, chosen)]
    assert words[0] == words[1]
    assert set(words[0]) == set(table.columns)
