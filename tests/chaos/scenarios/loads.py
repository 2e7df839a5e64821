"""What comes in is the trouble: a tenth of it broken, or all of it at once after hours of standing still."""

import time

from settings import Role
from tests.chaos.scenario import Play


def as_it_comes(play: Play) -> None:
    """The feed alone; also the control, in which nothing is done to the pipeline."""
    with play.arena.injecting("nothing but the feed"):
        time.sleep(play.scale.provider_fault_s)


def lagging(play: Play) -> None:
    """Consumers stand still while everything piles up, enrich first; then all of it comes at once."""
    for role in (Role.ENRICH, Role.SEND_EMAIL, Role.SINK):
        with play.arena.injecting(f"{role} stood still") as injection:
            with play.arena.workers.stopped(role.value):
                time.sleep(play.scale.provider_fault_s * 1.5)
            injection.end()
            play.arena.workers.wait_ready(role.value)
        time.sleep(1.0)
