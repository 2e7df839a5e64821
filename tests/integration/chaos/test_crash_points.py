"""Every point is reached by real work: the worker dies there, says so, and its successor is ready again."""

import signal
import time

import pytest

from settings import Role
from tests.chaos.points import CrashPoint
from tests.chaos.workers import Workers

# With the start of everything, and on a machine that has other things to do.
pytestmark = pytest.mark.timeout(240)

COMMIT_INTERVAL_S = 0.2
PASSES = 5

# One role for each point; the others are wrapped by the same words.
WHERE = {
    CrashPoint.AFTER_CLAIM: Role.SEND_SMS,
    CrashPoint.AFTER_NOTIFICATIONS: Role.ENRICH,
    CrashPoint.AFTER_ROWS: Role.SINK,
    CrashPoint.AFTER_RETURN: Role.RETRY,
    CrashPoint.DURING_CALL: Role.SEND_SMS,
    CrashPoint.BEFORE_COMMIT: Role.ENRICH,
    CrashPoint.AFTER_COMMIT: Role.SINK,
    CrashPoint.AFTER_ANSWER: Role.SEND_EMAIL,
    CrashPoint.AFTER_OUTCOME: Role.SEND_PUSH,
}


@pytest.mark.parametrize("point", WHERE, ids=str)
def test_a_worker_dies_at_the_point(workers: Workers, point: CrashPoint) -> None:
    role = WHERE[point]
    workers.wait_ready(role)
    victim = workers.lives.all(role)[-1]
    workers.arm(role, point)
    crash = workers.wait_crash(role)
    workers.wait_ready(role)
    assert (crash.point, crash.role, crash.worker, crash.pid) == (point, role, role, victim.pid)
    ended = next(life for life in workers.lives.all(role) if life.pid == victim.pid)
    assert ended.exit_code == -signal.SIGKILL
    assert ended.ended_at is not None
    assert ended.ended_at == pytest.approx(crash.at, abs=1.0)


@pytest.mark.parametrize("point", [CrashPoint.DURING_RECOVERY, CrashPoint.DURING_REBALANCE], ids=str)
def test_a_worker_dies_while_it_starts(workers: Workers, point: CrashPoint) -> None:
    role = Role.ENRICH
    workers.wait_ready(role)
    killed = workers.kill(role)
    workers.arm(role, point)
    crash = workers.wait_crash(role)
    workers.wait_ready(role)
    assert crash.point is point
    assert crash.pid != killed


def test_every_point_is_tried() -> None:
    assert {*WHERE, CrashPoint.DURING_RECOVERY, CrashPoint.DURING_REBALANCE} == set(CrashPoint)


def test_passes_are_let_by(workers: Workers) -> None:
    role = Role.SINK
    workers.wait_ready(role)
    since = time.time()
    workers.arm(role, CrashPoint.BEFORE_COMMIT, passes=PASSES)
    assert workers.wait_crash(role).at - since > (PASSES - 1) * COMMIT_INTERVAL_S


def test_a_point_that_the_role_never_comes_to_is_refused(workers: Workers) -> None:
    with pytest.raises(ValueError, match="sink never comes to after-claim"):
        workers.arm(Role.SINK, CrashPoint.AFTER_CLAIM)
