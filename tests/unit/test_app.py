"""What the composition root works out by itself."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import topics
from app import BUILDERS, QUERY_TIMEOUT_S, REDIS_TIMEOUT_S, REQUEST_TIMEOUT_S, _for_urgent
from observability.metrics import Metrics
from settings import Role, Settings
from simulators.key_file import write_key_file


@pytest.mark.parametrize(
    ("calls", "setting", "kept"),
    [
        pytest.param(32, 8, 8, id="all of them"),
        pytest.param(8, 8, 2, id="in proportion"),
        pytest.param(3, 8, 1, id="one at least"),
        pytest.param(1, 8, 0, id="a single call is for both"),
        pytest.param(8, 31, 7, id="one is bulk's"),
        pytest.param(8, 0, 0, id="none is wanted"),
    ],
)
def test_calls_that_a_provider_keeps_for_urgent(calls: int, setting: int, kept: int) -> None:
    assert _for_urgent(calls, Settings(calls_for_urgent=setting)) == kept


def test_a_query_gives_postgres_up_before_its_request_is_given_up() -> None:
    """It asks Redis, then Postgres for the outcome, then for the birth; what Redis knows must still be said."""
    assert REDIS_TIMEOUT_S + 2 * QUERY_TIMEOUT_S < REQUEST_TIMEOUT_S


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.API, Role.RETRY}))
def test_a_role_reads_what_its_group_is_looked_at_for(role: Role, tmp_path: Path) -> None:
    write_key_file(tmp_path / "key", token_uri="http://127.0.0.1:1")
    settings = Settings(role=role, data_dir=tmp_path, fcm_credentials=tmp_path / "key")
    app = BUILDERS[role](settings, Metrics(CollectorRegistry()))
    read = {topic for agent in app.agents.values() for topic in agent.channel.topics}
    assert read == set(topics.read_by(settings.retry_tiers_s)[settings.group])
