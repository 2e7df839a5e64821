"""What can be done to running workers, and what is known of them afterwards."""

import os
import time
from collections.abc import Callable

import psutil
import pytest

from settings import Role
from tests.chaos.workers import Workers
from tests.integration.chaos.conftest import Pipeline

# With the start of everything, and on a machine that has other things to do.
pytestmark = pytest.mark.timeout(240)

SOON_S = 60.0
DISK_MIB = 64


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_that_is_killed_is_started_again_and_both_lives_are_known(workers: Workers) -> None:
    pid = workers.kill(Role.RETRY)
    assert not psutil.pid_exists(pid)
    ready_s = workers.wait_ready(Role.RETRY)
    *_, before, after = workers.lives.all(Role.RETRY)
    assert (before.pid, before.exit_code) == (pid, -9)
    assert (after.exit_code, after.ready_s) == (None, ready_s)
    assert before.ended_at is not None
    assert before.ended_at <= after.started_at
    assert 0 < ready_s < SOON_S


def test_one_that_is_asked_ends_with_0_and_is_started_again(workers: Workers) -> None:
    pid = workers.workers[Role.SINK].process.pid
    assert workers.terminate(Role.SINK) == 0
    workers.wait_ready(Role.SINK)
    assert workers.workers[Role.SINK].process.pid != pid


def test_one_that_is_frozen_does_nothing_until_it_is_thawed(workers: Workers) -> None:
    process = psutil.Process(workers.workers[Role.API].process.pid)
    workers.freeze(Role.API)
    eventually(lambda: process.status() == psutil.STATUS_STOPPED)
    workers.thaw(Role.API)
    eventually(lambda: process.status() != psutil.STATUS_STOPPED)
    workers.wait_until_ready(SOON_S)
    assert workers.workers[Role.API].process.pid == process.pid


def test_a_role_grows_and_shrinks_and_grows_again(workers: Workers) -> None:
    workers.scale(Role.SEND_PUSH, 2)
    workers.wait_ready("send-push-2")
    first, second = workers.workers["send-push"], workers.workers["send-push-2"]
    assert first.http_port != second.http_port
    assert first.data_dir != second.data_dir
    workers.scale(Role.SEND_PUSH, 1)
    assert "send-push-2" not in workers.workers
    assert workers.lives.all("send-push-2")[-1].exit_code == 0
    workers.scale(Role.SEND_PUSH, 2)
    workers.wait_ready("send-push-2")
    assert workers.workers["send-push-2"].data_dir == second.data_dir
    workers.scale(Role.SEND_PUSH, 1)


def test_metrics_can_be_asked_for(workers: Workers) -> None:
    def has_told() -> bool:
        scrape = workers.metrics(Role.SEND_EMAIL)
        return scrape.total("herald_attempts_total", channel="email") > 0

    assert workers.metrics(Role.SEND_EMAIL).total("herald_build_info", role="send-email") == 1
    eventually(has_told)


def test_a_wrong_clock_is_the_workers_alone(pipeline: Pipeline) -> None:
    """An event of now is an hour old for enrich, which notes when it created each notification."""
    workers = pipeline.workers
    workers.set_clock(Role.ENRICH, 3_600)
    try:
        eventually(lambda: pipeline.traffic.created_s_ahead() > 3_000)
    finally:
        workers.set_clock(Role.ENRICH, 0)


def test_damaged_tables_are_what_it_starts_with(workers: Workers) -> None:
    role = Role.ENRICH
    workers.wait_ready(role)
    lives = len(workers.lives.all(role))
    assert workers.corrupt_store(role)
    eventually(lambda: len(workers.lives.all(role)) > lives)
    workers.lose_store(role)
    workers.wait_ready(role)


def test_a_disk_can_fill_up_under_it(workers: Workers) -> None:
    role = Role.SEND_PUSH
    workers.wait_ready(role)
    data_dir = workers.workers[role].data_dir
    with workers.on_small_disk(role, size_mib=DISK_MIB) as disk:
        workers.wait_ready(role)
        disk.fill()
        assert disk.free_bytes() == 0
        disk.free()
        assert disk.free_bytes() > 0
        workers.wait_ready(role)
    assert not os.path.ismount(data_dir)
    workers.wait_ready(role)
