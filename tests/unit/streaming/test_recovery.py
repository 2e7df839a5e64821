"""A recovery that gets no answer ends the worker; one that is stopped does not."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import ServiceStopped

from streaming.recovery import EndingRecovery


@pytest.mark.parametrize(("stopped", "ends"), [(False, 1), (True, 0)])
def test_a_question_without_an_answer(stopped: bool, ends: int) -> None:
    ended: list[BaseException] = []

    async def ask() -> None:
        app: Any = SimpleNamespace(
            conf=SimpleNamespace(stream_recovery_delay=0.0), engine=SimpleNamespace(fail=ended.append)
        )
        recovery = EndingRecovery(app, SimpleNamespace(), loop=asyncio.get_running_loop())  # type: ignore[arg-type]
        if stopped:
            recovery._stopped.set()
        with pytest.raises(ServiceStopped):
            await recovery._wait(asyncio.sleep(60), timeout=0.05)

    asyncio.run(ask())
    assert len(ended) == ends
