"""What is wrong with a machine: its clock jumps, its disk is full, its tables on disk are damaged."""

import time

from pipeline.notifications import Channel
from settings import Role
from tests.chaos.arena import IN_FLIGHT, ROLES
from tests.chaos.disk import DiskUnavailable
from tests.chaos.scenario import Play
from tests.chaos.scenarios.common import keep_retrying

WITH_TABLES = (Role.ENRICH, Role.SEND_SMS, Role.SEND_EMAIL, Role.SEND_PUSH)
DISK_MIB = 96
READY_WITHIN_S = 60.0
JUMPS_S = (7.0, -7.0, 0.0)


def clock_jumps(play: Play) -> None:
    """Every worker's clock is put forward, then back, then right, as by somebody who corrects it in steps.

    Who has the wrong time is early without knowing it; nothing may be lost or told twice for that.
    """
    keep_retrying(play)
    for jump_s in JUMPS_S:
        with play.arena.injecting(f"clock {jump_s:+g} s", channels=tuple(Channel), calm_s=20.0) as injection:
            injection.may_be_early = True
            for role in ROLES:
                play.arena.workers.set_clock(role.value, jump_s)
            time.sleep(play.scale.network_s * 2)


def damaged_tables(play: Play) -> None:
    """A worker finds its RocksDB folders damaged at its start."""
    for role in play.dice.sample(WITH_TABLES, len(WITH_TABLES)):
        with play.arena.injecting(f"damaged tables of {role}"):
            damaged = play.arena.workers.corrupt_store(role.value)
            play.expect(bool(damaged), f"{role} had no table on disk to damage")
            play.arena.workers.wait_ready(role.value, timeout_s=READY_WITHIN_S)
        time.sleep(1.0)


def full_disk(play: Play) -> None:
    """No byte more goes into a worker's tables for a while."""
    for role in (Role.ENRICH, Role.SEND_EMAIL):
        try:
            _fill_disk_of(play, role)
        except DiskUnavailable as why:
            play.not_injected = str(why)
            return


def _fill_disk_of(play: Play, role: Role) -> None:
    workers, name = play.arena.workers, role.value
    channels = () if role.channel is None else (role.channel,)
    with workers.on_small_disk(name, size_mib=DISK_MIB) as disk:
        workers.wait_ready(name, timeout_s=READY_WITHIN_S)
        with play.arena.injecting(
            f"full disk of {role}", channels=channels, in_flight=IN_FLIGHT, ends_workers=True, calm_s=60.0
        ):
            disk.fill()
            time.sleep(play.scale.provider_fault_s)
            disk.free()
        workers.wait_ready(name, timeout_s=READY_WITHIN_S)
        time.sleep(2.0)
    workers.wait_ready(name, timeout_s=READY_WITHIN_S)
