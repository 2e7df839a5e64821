"""Does the account close, also after a million notifications? PostgreSQL sorts on its disk and tells counts."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from pipeline.ledger import Disposition
from storage import sql

TIMEOUT_S = 300.0


async def count_sent(connection: "asyncpg.Connection[asyncpg.Record]", since: datetime) -> int:
    """How many notifications were sent. Raises AssertionError where anything else became of an event since then."""

    async def rows(query: str) -> Sequence[Any]:
        return list(await connection.fetch(query, since, timeout=TIMEOUT_S))

    dispositions = Counter({row[0]: row[1] for row in await rows(sql.COUNT_DISPOSITIONS)})
    assert dispositions.keys() <= {Disposition.ACCEPTED}, dispositions
    outcomes: Counter[str] = Counter()
    for _, status, count in await rows(sql.COUNT_OUTCOMES):
        outcomes[status] += count
    assert outcomes.keys() <= {"sent"}, outcomes
    unaccounted = (await rows(sql.UNACCOUNTED))[0][0]
    assert not unaccounted, f"{unaccounted} notifications are unaccounted for"
    return outcomes["sent"]
