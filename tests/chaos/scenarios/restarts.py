"""What operators do on purpose: rolling restarts by SIGTERM, and scaling up and down. Neither may cost anything."""

import time

from settings import Role
from tests.chaos.account import Account
from tests.chaos.arena import ROLES
from tests.chaos.scenario import Play
from tests.chaos.scenarios.common import keep_retrying, pause
from tests.chaos.verdict import Verdict

READY_WITHIN_S = 60.0


def rolling(play: Play) -> None:
    """One worker after the other, as a new version comes in."""
    keep_retrying(play)
    for role in play.dice.sample(ROLES, len(ROLES)) * (2 if play.scale.name == "full" else 1):
        with play.arena.injecting(f"SIGTERM {role}") as injection:
            code = play.arena.workers.terminate(role.value)
            play.expect(code == 0, f"{role} ended with {code} on SIGTERM")
            injection.end()
            play.arena.workers.wait_ready(role.value, timeout_s=READY_WITHIN_S)
        pause(play, 0.2, 1.0)


def scaling(play: Play) -> None:
    """Three roles from one worker to four and back, one step after the other."""
    keep_retrying(play)
    roles = (Role.ENRICH, Role.SEND_EMAIL, Role.SINK) if play.scale.name == "full" else (Role.SEND_EMAIL,)
    for role in roles:
        for count in (2, 4, 1):
            with play.arena.injecting(f"scale {role} to {count}"):
                play.arena.workers.scale(role, count)
                for name, worker in play.arena.workers.workers.items():
                    if worker.role is role:
                        play.arena.workers.wait_ready(name, timeout_s=READY_WITHIN_S)
                time.sleep(2.0)


def nothing_twice(play: Play, account: Account, verdict: Verdict) -> None:
    play.expect(verdict.duplicates == 0, f"{verdict.duplicates} told twice though nothing died")
