"""Postgres and Redis go away: outcomes wait in Kafka, and sending does not notice."""

import time

from pipeline.notifications import Channel
from tests.chaos.account import Account
from tests.chaos.scenario import Play
from tests.chaos.verdict import Verdict


def postgres_down(play: Play) -> None:
    with play.arena.injecting("postgres down") as injection:
        play.arena.servers.postgres.kill()
        time.sleep(play.scale.outage_s)
        play.arena.servers.postgres.start()
    play.notes["outage_from_s"], play.notes["outage_to_s"] = injection.at_s, injection.ended_s
    time.sleep(5.0)


def sending_went_on(play: Play, account: Account, verdict: Verdict) -> None:
    """In every fifth of the outage each channel was served."""
    begin_s, end_s = play.notes.pop("outage_from_s"), play.notes.pop("outage_to_s")
    fifth_s = (end_s - begin_s) / 5
    for channel in Channel:
        times = [entry.at for entry in account.entries[channel]]
        for number in range(5):
            from_s, to_s = begin_s + number * fifth_s, begin_s + (number + 1) * fifth_s
            play.expect(
                any(from_s <= at < to_s for at in times), f"nothing was sent by {channel} while Postgres was away"
            )


def redis_down_and_flushed(play: Play) -> None:
    with play.arena.injecting("redis down"):
        play.arena.servers.redis.kill()
        time.sleep(play.scale.network_s)
        play.arena.servers.redis.start()
    time.sleep(2.0)
    with play.arena.injecting("redis flushed"):
        play.arena.flush_redis()
    time.sleep(3.0)
