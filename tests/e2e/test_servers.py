"""A server that is killed and comes back: what depends on it waits, what does not goes on, nothing is lost."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.notifications import Channel
from pipeline.outcomes import Status
from pipeline.vocabulary import StatusCode
from simulators.ledger import Result
from stack import ServerName
from tests.e2e.cargo import Shipment, followed_by
from tests.e2e.world import World, eventually

AWAY_S = 8.0
BACK_WITHIN_S = 120.0


@contextmanager
def away(world: World, server: ServerName) -> Iterator[None]:
    """Killed on the way in; at the end it has been away for `AWAY_S` and is back."""
    world.stack.kill(server)
    until = time.monotonic() + AWAY_S
    try:
        yield
        threading.Event().wait(max(0.0, until - time.monotonic()))
    finally:
        world.stack.restart(server)


def followed(world: World, count: int = 20) -> list[Shipment]:
    """Shipments that the whole pipeline has dealt with once."""
    shipments = [Shipment() for _ in range(count)]
    world.subscribe(*shipments)
    world.outcomes_of(tell(world, shipments, StatusCode.STUF))
    return shipments


def tell(world: World, shipments: list[Shipment], step: StatusCode) -> set[str]:
    """Publish an event of each; the ids of the notifications that must follow."""
    events = [(shipment, shipment.event(step)) for shipment in shipments]
    world.tell(*(event for _, event in events))
    return {id for shipment, event in events for id in shipment.ids(event)}


def told_once(world: World, ids: set[str]) -> bool:
    accepted = [entry.id for channel in Channel for entry in world.accepted(channel, ids)]
    assert len(accepted) == len(set(accepted)), f"{len(accepted) - len(set(accepted))} told twice"
    return set(accepted) == ids


@pytest.mark.timeout(240)
def test_while_postgres_is_away_everybody_is_told_and_the_sink_waits(world: World) -> None:
    shipments = followed(world)
    restarts = world.pipeline.supervisor.restarts()
    with away(world, ServerName.POSTGRES):
        ids = tell(world, shipments, StatusCode.GTIN)
        eventually(lambda: told_once(world, ids), "the providers to be told without Postgres")
    rows = world.outcomes_of(ids, within_s=BACK_WITHIN_S)
    assert {row["status"] for row in rows.values()} == {Status.SENT}
    assert world.pipeline.supervisor.restarts() == restarts, "waiting for Postgres is no reason to end"
    for shipment in shipments:
        assert world.dispositions(shipment, 2) == ["accepted", "accepted"]


@pytest.mark.timeout(240)
def test_while_redis_is_away_outcomes_are_stored_and_asked_for(world: World) -> None:
    shipments = followed(world)
    with away(world, ServerName.REDIS):
        ids = tell(world, shipments, StatusCode.GTIN)
        rows = world.outcomes_of(ids)
        assert {row["status"] for row in rows.values()} == {Status.SENT}
        assert world.status_of(next(iter(ids)))["status"] == Status.SENT
    shipment = followed_by(Channel.SMS)
    world.subscribe(shipment)
    event = shipment.event()
    world.tell(event)
    (id,) = shipment.ids(event)
    eventually(lambda: world.status_of(id).get("status") == Status.SENT, "an answer after Redis is back")


@pytest.mark.timeout(300)
def test_while_kafka_is_away_work_waits_and_nothing_is_lost(world: World, figure: Callable[[str], None]) -> None:
    shipments = followed(world)
    restarts = Counter(world.pipeline.supervisor.restarts())
    ids = tell(world, shipments, StatusCode.GTIN) | tell(world, shipments, StatusCode.LOAD)
    with away(world, ServerName.KAFKA):
        pass
    ids |= tell(world, shipments, StatusCode.DISC)
    rows = world.outcomes_of(ids, within_s=BACK_WITHIN_S)
    assert {row["status"] for row in rows.values()} == {Status.SENT}
    for channel in Channel:
        heard = world.heard(channel, ids)
        accepted = [entry.id for entry in heard if entry.result is Result.ACCEPTED]
        twice = len(accepted) - len(set(accepted))
        figure(f"Kafka away, {channel}: {twice} told twice, {len(heard) - len(accepted)} repeats")
        if channel is Channel.SMS:
            assert twice == 0
    restarted = Counter(world.pipeline.supervisor.restarts()) - restarts
    figure(f"Kafka away: {dict(restarted) or 'no worker'} started again")
