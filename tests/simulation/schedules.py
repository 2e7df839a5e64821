"""Which worlds are simulated? Profiles: what is published, which roles run, what the provider promises."""

import asyncio
import gc
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import structlog

import topics
from agents.turn import encode
from pipeline.events import StatusEvent
from pipeline.notifications import Channel, Lane
from pipeline.subscriptions import Recipient, Subscription
from pipeline.vocabulary import StatusCode
from streaming.producer import Record
from tests.fakes import T0, notification
from tests.simulation.choices import Choices
from tests.simulation.roles import EnrichRole, RetryRole, SendRole, SinkRole, new_table, token, watched_read
from tests.simulation.tables import Batch
from tests.simulation.world import Facts, World

NEVER_S = 1e9


def sending(choices: Choices) -> World:
    """Notifications on their lanes, two workers that send, one that lets wait."""
    world = World(choices, Facts(**_provider(choices), expire_after_s=0))
    world.add(SendRole(), 2)
    world.add(RetryRole(), 1)
    for number in range(5):
        urgent = number % 3 == 2
        world.publish_at(0.5 + 0.4 * number, lambda number=number, urgent=urgent: _lane(world, number, urgent))
    return world


def _provider(choices: Choices) -> dict[str, Any]:
    """What the provider and the channel promise: nothing, keys for good, rather twice than not, keys for a while."""
    match choices.take("provider", 4, 1.3):
        case 1:
            return {"send_again": False, "key_lifetime_s": NEVER_S}
        case 2:
            return {"send_again": True, "key_lifetime_s": 0.0}
        case 3:
            return {"send_again": False, "key_lifetime_s": 8.0}
        case _:
            return {"send_again": False, "key_lifetime_s": 0.0}


def _lane(world: World, number: int, urgent: bool) -> None:
    lives_s = (86_400, 4, 12)[world.choices.take("lives", 3, 8.0)]
    now = T0 + timedelta(seconds=world.loop.time())
    told = notification(
        f"n-{number}",
        recipient=f"person-{number % 4}",
        lane=Lane.URGENT if urgent else Lane.BULK,
        created_at=now,
        expires_at=now + timedelta(seconds=lives_s),
        first_seen_at=now,
    )
    # Enrich makes a notification again when it died before it could note that it had.
    for again in range(1 + world.choices.take("made-again", 2, 6.0)):
        made = msgspec.structs.replace(told, created_at=now + timedelta(seconds=again))
        world.broker.append(Record(topics.lane(Channel.SMS, told.lane), told.recipient.encode(), encode(made)))


def enriching(choices: Choices) -> World:
    """Status events, two workers that enrich, one that lets wait."""
    world = World(choices, Facts(send_again=False, key_lifetime_s=NEVER_S, expire_after_s=3_600))
    world.add(EnrichRole(), 2)
    world.add(RetryRole(), 1)
    _cargo(world, 4)
    return world


def everything(choices: Choices) -> World:
    """Status events, and every role that they pass."""
    expire_after_s = (3_600.0, 6.0)[choices.take("lives", 2, 5.0)]
    world = World(choices, Facts(**_provider(choices), expire_after_s=expire_after_s))
    world.add(EnrichRole(), 2)
    world.add(SendRole(), 2)
    world.add(RetryRole(), 1)
    world.add(SinkRole(), 2)
    _cargo(world, 3)
    return world


PROFILES: dict[str, Callable[[Choices], World]] = {
    "sending": sending,
    "enriching": enriching,
    "everything": everything,
}


def _cargo(world: World, events: int) -> None:
    for number in range(events):
        shipment = f"s-{number % 3}"
        since_s = (0.0, 3.0, NEVER_S)[world.choices.take("subscription", 3, 4.0)]
        people = [
            Recipient(recipient_id=f"{shipment}-{one}", addresses={Channel.SMS: "+79990000001"})
            for one in "ab"[: 1 + number % 2]
        ]
        world.facts.subscriptions.setdefault(
            shipment, (since_s, Subscription(shipment_id=shipment, recipients=tuple(people)))
        )
        code = StatusCode.HOLD if number % 2 else StatusCode.LOAD
        event = StatusEvent(event_id=f"e-{number}", shipment_id=shipment, status=code, occurred_at=T0)
        for again in range(1 + world.choices.take("published-again", 2, 6.0)):
            world.publish_at(0.5 + 0.4 * number + 3.0 * again, lambda event=event: _publish(world, event))


def _publish(world: World, event: StatusEvent) -> None:
    key = (event.shipment_id, "a container")[world.choices.take("key", 2, 6.0)]
    world.broker.append(Record(topics.STATUS, key.encode(), encode(event)))


TIMED = (
    "agents.send",
    "agents.telling",
    "agents.sink",
    "streaming.consumer",
    "streaming.delay",
    "streaming.engine",
    "streaming.member",
    "tables.claims",
)


@contextmanager
def simulated() -> Iterator[None]:
    """The code under test on simulated time, tables and disks; quiet; without the collector's pauses."""

    def now() -> float:
        return asyncio.get_running_loop().time()

    patches: list[tuple[Any, str, Any]] = [
        (importlib.import_module("tables.claims"), "table", new_table),
        (importlib.import_module("tables.seen"), "table", new_table),
        (importlib.import_module("streaming.table"), "WriteBatch", Batch),
        (importlib.import_module("agents.send"), "read", watched_read),
        (importlib.import_module("tables.claims"), "secrets", SimpleNamespace(token_hex=token)),
    ]
    clock = SimpleNamespace(monotonic=now, perf_counter=now)
    patches += [(module, "time", clock) for name in TIMED if hasattr(module := importlib.import_module(name), "time")]
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    logging = structlog.get_config()
    structlog.configure(
        processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    unraisable, sys.unraisablehook = sys.unraisablehook, _of_the_dead
    gc.disable()
    for module, name, fake in patches:
        setattr(module, name, fake)
    try:
        with warnings.catch_warnings():
            # Coroutines of killed processes were never awaited.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
            gc.collect()
    finally:
        for module, name, real in before:
            setattr(module, name, real)
        gc.collect()
        gc.enable()
        sys.unraisablehook = unraisable
        structlog.configure(**logging)


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


def _of_the_dead(_: object) -> None:
    """A coroutine of a killed process cannot tidy up: its loop is gone."""
