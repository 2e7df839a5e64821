"""Patience: standing still with work to do runs out; waiting for work, or for something legitimate, does not."""

from streaming.watchdog import Patience
from tests.fakes import Clock

LIMIT_S = 60.0


def patience() -> tuple[Patience, Clock]:
    clock = Clock()
    return Patience(LIMIT_S, clock.seconds), clock


def test_no_progress_with_work_to_do_runs_out() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S)
    assert waiting.look("p0", "here", has_work=True) == LIMIT_S
    assert not waiting.is_over()
    clock.advance(1)
    assert waiting.is_over(), "also when nobody looks any more: a watchdog that died must not look healthy"


def test_progress_renews_it() -> None:
    waiting, clock = patience()
    for step in range(5):
        clock.advance(LIMIT_S - 1)
        assert waiting.look("p0", step, has_work=True) == 0
    assert not waiting.is_over()


def test_a_partition_that_stands_is_seen_among_others_that_move() -> None:
    waiting, clock = patience()
    for step in range(3):
        waiting.look("p0", "here", has_work=True)
        waiting.look("p1", step, has_work=True)
        clock.advance(LIMIT_S / 2 + 1)
    assert waiting.is_over()


def test_a_partition_that_is_gone_is_forgotten() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S + 1)
    waiting.forget_all_but(["p1"])
    assert not waiting.is_over()


def test_idleness_is_no_standstill() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(10 * LIMIT_S)
    assert waiting.look("p0", "here", has_work=False) == 0
    clock.advance(LIMIT_S)
    assert waiting.look("p0", "here", has_work=True) == LIMIT_S, "counted from when there was last nothing to do"


def test_what_waits_for_a_reason_says_so() -> None:
    waiting, clock = patience()
    waiting.look("p0", "here", has_work=True)
    clock.advance(LIMIT_S)
    waiting.renew()
    clock.advance(LIMIT_S)
    waiting.look("p0", "here", has_work=True)
    assert not waiting.is_over()
