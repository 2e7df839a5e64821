"""Kafka goes away: the only broker, and of three brokers each in turn, by force and as operators restart them."""

import time

from pipeline.notifications import Channel
from tests.chaos.arena import IN_FLIGHT
from tests.chaos.scenario import Play
from tests.chaos.scenarios.common import keep_retrying, pause

EVERY = tuple(Channel)


def killed(play: Play) -> None:
    """The only one, and back after some seconds."""
    keep_retrying(play)
    for _ in range(2 if play.scale.name == "full" else 1):
        with play.arena.injecting("broker SIGKILL", channels=EVERY, in_flight=IN_FLIGHT, calm_s=45.0):
            play.arena.servers.kafka.kill(1)
            pause(play, 1.0, 6.0)
            play.arena.servers.kafka.start(1)
        time.sleep(8.0)


def restarted(play: Play) -> None:
    """The only one, stopped cleanly."""
    keep_retrying(play)
    with play.arena.injecting("broker restart", channels=EVERY, in_flight=IN_FLIGHT, calm_s=45.0):
        play.arena.servers.kafka.stop(1)
        pause(play, 1.0, 4.0)
        play.arena.servers.kafka.start(1)
    time.sleep(8.0)


def one_of_three_killed(play: Play) -> None:
    """Each in turn, the controller among them; the others go on without it."""
    keep_retrying(play)
    brokers = play.arena.servers.kafka
    for id in play.dice.sample(brokers.ids, len(brokers.ids)):
        with play.arena.injecting(f"broker {id} of 3 SIGKILL", channels=EVERY, in_flight=IN_FLIGHT, calm_s=45.0):
            brokers.kill(id)
            time.sleep(10.0)
            brokers.start(id)
        time.sleep(5.0)


def rolling_bounce(play: Play) -> None:
    """As for an upgrade: each is stopped cleanly, and the next one when it is back in sync."""
    keep_retrying(play)
    brokers = play.arena.servers.kafka
    for id in brokers.ids:
        with play.arena.injecting(f"broker {id} of 3 restart", channels=EVERY, in_flight=IN_FLIGHT, calm_s=45.0):
            brokers.stop(id)
            brokers.start(id)
        time.sleep(3.0)
