"""Networks between the workers and each server: slow, half open, reset."""

import time
from collections.abc import Callable, Sequence

from pipeline.notifications import Channel
from tests.chaos.arena import IN_FLIGHT, SIMULATORS
from tests.chaos.modes import Mode, ModeKind
from tests.chaos.scenario import Play
from tests.chaos.servers import POSTGRES, REDIS

EVERY = tuple(Channel)
MODES = {
    "slow": Mode(kind=ModeKind.SLOW, latency_ms=200.0, bytes_per_s=200_000.0),
    "half-open": Mode(kind=ModeKind.HALF_OPEN),
    "reset": Mode(kind=ModeKind.RESET),
}


def before(server: str) -> Callable[[Play], None]:
    """Each kind of trouble in turn, on the routes to one server."""

    def act(play: Play) -> None:
        routes, channels = _routes(play, server)
        for name, mode in MODES.items():
            with play.arena.injecting(
                f"{server} {name}", channels=channels, in_flight=IN_FLIGHT, calm_s=60.0
            ) as injection:
                injection.unanswered = bool(channels)
                for route in routes:
                    play.arena.servers.proxies.set(route, mode)
                time.sleep(play.scale.network_s)
                for route in routes:
                    play.arena.servers.proxies.set(route)
            time.sleep(play.scale.network_s)

    return act


def _routes(play: Play, server: str) -> tuple[Sequence[str], Sequence[Channel]]:
    """The proxies before it, and the channels whose messages its trouble may repeat."""
    if server == "kafka":
        return tuple(play.arena.servers.kafka.targets), EVERY
    if server in (POSTGRES, REDIS):
        return (server,), ()
    channel = Channel(server)
    return (SIMULATORS[channel].value,), (channel,)
