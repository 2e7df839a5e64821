"""What do scenarios have in common? Pauses by the dice, and a stream of retries."""

import time

from pipeline.notifications import Channel
from simulators.faults import CallFault, Faults
from tests.chaos.scenario import Play


def pause(play: Play, shortest_s: float, longest_s: float) -> None:
    """For a time that the seed decides: what is under way then is the point."""
    time.sleep(play.dice.uniform(shortest_s, longest_s))


def keep_retrying(play: Play) -> None:
    """One call in ten is turned away, so that something always waits for another attempt."""
    for channel in (Channel.SMS, Channel.EMAIL):
        play.arena.set_faults(channel, Faults(call=CallFault.ERROR, rate=0.1))
