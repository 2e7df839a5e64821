from itertools import pairwise

import pytest

from pipeline.notifications import Lane
from settings import Settings
from tests.bench.lanes import BULK_FOR_EACH_URGENT, Flood
from tests.bench.pace import evenly, now_and_then

EVENTS = [(b"key", b"%d" % number) for number in range(1_000)]


def test_evenly_is_as_many_a_second_as_asked() -> None:
    due = list(evenly(EVENTS, 100))
    assert [event for _, event in due] == EVENTS
    assert due[-1][0] == pytest.approx(9.99)


def test_now_and_then_keeps_no_step() -> None:
    times = [at for at, _ in now_and_then(EVENTS, 0.4, "seed")]
    gaps = [after - before for before, after in pairwise(times)]
    assert sum(gaps) / len(gaps) == pytest.approx(0.4, rel=0.05)
    assert min(gaps) >= 0.2 and max(gaps) <= 0.6 and len(set(gaps)) > 900


def test_the_same_seed_is_the_same_pace() -> None:
    assert list(now_and_then(EVENTS, 0.4, "seed")) == list(now_and_then(EVENTS, 0.4, "seed"))


def test_a_flood_is_more_than_the_provider_takes_and_mostly_bulk() -> None:
    flood, settings = Flood(seconds=2, latency_ms=500, over=1.5), Settings()
    # 24 calls at once, two a second, a hundred messages each.
    assert flood.limit_per_s(settings) == 4_800
    due = flood.due(settings)
    urgent = [at for at, (_, value) in due if b"HOLD" in value]
    assert len(due) - len(urgent) == pytest.approx(4_800, abs=1)
    assert (len(due) - len(urgent)) / len(urgent) == BULK_FOR_EACH_URGENT
    assert [at for at, _ in due] == sorted(at for at, _ in due)
    assert urgent[-1] > 1.9, Lane.URGENT
