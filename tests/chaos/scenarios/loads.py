"""What comes in is the trouble: a tenth of it broken, or all of it at once after hours of standing still."""

import time

from settings import Role
from tests.chaos.scenario import Play


def as_it_comes(play: Play) -> None:
    """The feed alone; also the control, in which nothing is done to the pipeline."""
    with play.arena.injecting("nothing but the feed"):
        time.sleep(play.scale.provider_fault_s)


def lagging(play: Play) -> None:
    """Consumers stand still while everything piles up; then all of it comes at once.

    Enrich is last: what it has held up is sent by the others, who would stand still themselves when it comes.
    """
    for role in (Role.SINK, Role.SEND_EMAIL, Role.ENRICH):
        with play.arena.injecting(f"{role} stood still") as injection:
            with play.arena.workers.stopped(role.value):
                time.sleep(play.scale.provider_fault_s * 1.5)
            injection.end()
            play.arena.workers.wait_ready(role.value)
        time.sleep(1.0)
