"""What the composition root works out by itself."""

import pytest

from app import QUERY_TIMEOUT_S, REDIS_TIMEOUT_S, REQUEST_TIMEOUT_S, _for_urgent
from settings import Settings


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
