"""Which faults befall the plain application? The same as ours, while it is fed."""

import time

from simulators.faults import CallFault, Faults
from stack import ServerName
from tests.chaos.plain.scenario import Scenario
from tests.chaos.plain.scene import Scene

FEED_S = 25.0
AFTERWARDS_S = 5.0
# Longer than two sessions and a start.
PROGRESS_TIMEOUT_S = 60.0
KILLS, RESTARTS = 10, 5
# In a worker that works, a kill comes within so long: twice the time between two commits.
KILL_WITHIN_S = 6.0
PROVIDER_AWAY_S = 60.0
POSTGRES_AWAY_S = 30.0
BROKER_AWAY_S = 3.0
# Past the session timeout of 6 s: the group goes on without it.
FROZEN_S = 15.0

NOT_CAUGHT = {"PLAIN_ERRORS": "raise"}
EXACTLY_ONCE = {"PLAIN_GUARANTEE": "exactly_once"}


def nothing(scene: Scene) -> None:
    time.sleep(FEED_S)


def kills(scene: Scene, times: int = KILLS) -> None:
    """Only one that works is killed: there is nothing to lose in one that starts."""
    for _ in range(times):
        if not scene.wait_for_progress(PROGRESS_TIMEOUT_S):
            return
        time.sleep(scene.dice.uniform(0.0, KILL_WITHIN_S))
        scene.workers.kill(0)
    time.sleep(AFTERWARDS_S)


def fewer_kills(scene: Scene) -> None:
    """Transactions of a killed worker hold its successor up."""
    kills(scene, KILLS // 2)


def rolling_restarts(scene: Scene) -> None:
    for number in range(RESTARTS):
        if not scene.wait_for_progress(PROGRESS_TIMEOUT_S):
            return
        time.sleep(scene.dice.uniform(1.0, 3.0))
        scene.workers.restart(number % 2)
    time.sleep(AFTERWARDS_S)


def provider_errors(scene: Scene) -> None:
    time.sleep(AFTERWARDS_S)
    scene.provider.set_faults(Faults(call=CallFault.ERROR, rate=0.3))
    time.sleep(FEED_S)
    scene.provider.set_faults()
    time.sleep(AFTERWARDS_S)


def provider_away(scene: Scene) -> None:
    time.sleep(AFTERWARDS_S)
    scene.provider.set_faults(Faults(down=True))
    time.sleep(PROVIDER_AWAY_S)
    scene.provider.set_faults()
    time.sleep(AFTERWARDS_S)


def broker_killed(scene: Scene) -> None:
    time.sleep(FEED_S / 2)
    scene.stack.kill(ServerName.KAFKA)
    time.sleep(BROKER_AWAY_S)
    scene.stack.restart(ServerName.KAFKA)
    time.sleep(FEED_S / 2)


def postgres_away(scene: Scene) -> None:
    time.sleep(AFTERWARDS_S)
    scene.stack.kill(ServerName.POSTGRES)
    time.sleep(POSTGRES_AWAY_S)
    scene.stack.restart(ServerName.POSTGRES)
    time.sleep(AFTERWARDS_S)


def frozen(scene: Scene) -> None:
    time.sleep(AFTERWARDS_S)
    scene.workers.freeze(0)
    time.sleep(FROZEN_S)
    scene.workers.thaw(0)
    time.sleep(AFTERWARDS_S)


SCENARIOS = (
    # The longest first: several run at a time.
    Scenario(name="kills", befall=kills),
    Scenario(name="kills-exactly-once", befall=fewer_kills, environment=EXACTLY_ONCE),
    Scenario(name="provider-away", befall=provider_away),
    Scenario(name="errors-raised", befall=provider_errors, environment=NOT_CAUGHT),
    Scenario(name="errors-caught", befall=provider_errors),
    Scenario(name="postgres-away-raised", befall=postgres_away, environment=NOT_CAUGHT),
    Scenario(name="postgres-away", befall=postgres_away),
    Scenario(name="broker-killed", befall=broker_killed),
    Scenario(name="frozen", befall=frozen, workers=2),
    Scenario(name="rolling-restarts", befall=rolling_restarts, workers=2),
    Scenario(name="broken-input", befall=nothing, poison=0.1),
    Scenario(name="none", befall=nothing),
)
