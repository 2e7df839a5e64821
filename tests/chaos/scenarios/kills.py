"""SIGKILL of every role: at each point where it leaves something else undone, and at random, several at once."""

import time

from pipeline.notifications import Channel
from settings import Role
from tests.chaos.arena import IN_FLIGHT, ROLES, eventually
from tests.chaos.injections import Injection
from tests.chaos.points import POINTS, CrashPoint
from tests.chaos.scenario import Play
from tests.chaos.scenarios.common import keep_retrying, pause

RECOVERED_WITHIN_S = 60.0
# A worker comes to these only when it starts.
AT_START = frozenset({CrashPoint.DURING_RECOVERY, CrashPoint.DURING_REBALANCE})
SHORT_POINTS = (
    (Role.SEND_EMAIL, CrashPoint.AFTER_CLAIM),
    (Role.SEND_PUSH, CrashPoint.DURING_CALL),
    (Role.SEND_SMS, CrashPoint.AFTER_ANSWER),
    (Role.SEND_EMAIL, CrashPoint.AFTER_OUTCOME),
    (Role.ENRICH, CrashPoint.AFTER_NOTIFICATIONS),
    (Role.SINK, CrashPoint.AFTER_ROWS),
    (Role.RETRY, CrashPoint.AFTER_RETURN),
    (Role.SEND_SMS, CrashPoint.DURING_RECOVERY),
)


def at_named_points(play: Play) -> None:
    """Every role at every point that it has, in an order of the dice."""
    keep_retrying(play)
    every = [(role, point) for role in ROLES for point in sorted(POINTS[role])]
    chosen = every if play.scale.name == "full" else list(SHORT_POINTS)
    play.dice.shuffle(chosen)
    for role, point in chosen:
        _kill_at(play, role, point)
        pause(play, 0.2, 1.0)


def _kill_at(play: Play, role: Role, point: CrashPoint) -> None:
    workers, name = play.arena.workers, role.value
    workers.wait_ready(name, timeout_s=RECOVERED_WITHIN_S)
    if point in AT_START:
        workers.arm(name, point)
        _kill(play, role)
    injection = _begin(play, role, f"SIGKILL {role} {point}")
    if point not in AT_START:
        workers.arm(name, point, passes=play.dice.randrange(3))
    injection.at_s = injection.ended_s = workers.wait_crash(name).at
    _recovered(play, injection, role)


def at_random(play: Play) -> None:
    """One to three roles at once, also again before they are back."""
    keep_retrying(play)
    left = play.scale.random_kills
    while left > 0:
        roles = play.dice.sample(ROLES, min(left, play.dice.choice((1, 1, 2, 3))))
        injections = [_kill(play, role) for role in roles]
        left -= len(roles)
        if play.dice.random() < 0.3:
            pause(play, 0.3, 2.5)
            continue
        for role, injection in zip(roles, injections, strict=True):
            _recovered(play, injection, role)
        pause(play, 0.2, 2.0)


def while_brokers_move(play: Play) -> None:
    """Of three, each is stopped cleanly: whoever takes over asks a coordinator that is on its way."""
    keep_retrying(play)
    brokers = play.arena.servers.kafka
    for id in brokers.ids:
        roles = play.dice.sample(ROLES, len(ROLES))
        name = f"broker {id} of 3 restart"
        with play.arena.injecting(name, channels=tuple(Channel), in_flight=IN_FLIGHT, calm_s=45.0):
            injections = [(role, _kill(play, role)) for role in roles[::2]]
            pause(play, 0.0, 2.5)
            brokers.stop(id)
            injections += [(role, _kill(play, role)) for role in roles[1::2]]
            brokers.start(id)
        for role, injection in injections:
            _recovered(play, injection, role)


def _begin(play: Play, role: Role, name: str) -> Injection:
    channels = () if role.channel is None else (role.channel,)
    injection = play.arena.injections.begin(
        name, channels=channels, in_flight=IN_FLIGHT, ends_workers=True, calm_s=25.0
    )
    injection.killed = role
    return injection


def _kill(play: Play, role: Role) -> Injection:
    injection = _begin(play, role, f"SIGKILL {role}")
    play.arena.workers.kill(role.value)
    injection.end()
    return injection


def _recovered(play: Play, injection: Injection, role: Role) -> None:
    if role is Role.SINK:
        eventually(
            lambda: play.arena.has_row_since(injection.at_s),
            "a row after the sink's death",
            within_s=RECOVERED_WITHIN_S,
        )
        injection.first_after_s = time.time() - injection.at_s
    play.arena.workers.wait_ready(role.value, timeout_s=RECOVERED_WITHIN_S)
