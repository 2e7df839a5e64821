"""SIGSTOP past the session timeout, and back: what wakes up must not send or commit what is no longer its own."""

import time

from settings import Role
from tests.chaos.arena import IN_FLIGHT, SESSION_TIMEOUT_S
from tests.chaos.scenario import Play
from tests.chaos.scenarios.common import keep_retrying, pause

READY_WITHIN_S = 60.0
FROZEN_S = SESSION_TIMEOUT_S + 6.0


def frozen(play: Play) -> None:
    """Of two workers of a role the one is frozen in the middle of its work, and the other takes over."""
    keep_retrying(play)
    workers = play.arena.workers
    roles = (
        (Role.SEND_EMAIL, Role.SEND_PUSH, Role.SEND_SMS, Role.ENRICH, Role.SINK, Role.RETRY)
        if play.scale.name == "full"
        else (Role.SEND_EMAIL,)
    )
    for role in roles:
        workers.scale(role, 2)
        second = f"{role}-2"
        workers.wait_ready(second, timeout_s=READY_WITHIN_S)
        workers.wait_ready(role.value, timeout_s=READY_WITHIN_S)
        pause(play, 1.0, 2.0)
        name = play.dice.choice((role.value, second))
        channels = () if role.channel is None else (role.channel,)
        with play.arena.injecting(f"SIGSTOP {role}", channels=channels, in_flight=IN_FLIGHT, calm_s=30.0):
            workers.freeze(name)
            time.sleep(FROZEN_S)
            workers.thaw(name)
        # It may find out that it is late, join again, or be ended by its watchdog: all are well.
        time.sleep(5.0)
        workers.wait_ready(name, timeout_s=READY_WITHIN_S)
        workers.scale(role, 1)
