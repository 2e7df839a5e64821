"""What the feeder publishes: every sound event tells all its people, every poison is refused, a seed gives one load."""

from datetime import UTC, datetime, timedelta

import pytest

import templates
from pipeline import documents, subscriptions
from pipeline.errors import InvalidInput
from pipeline.events import StatusEvent
from pipeline.notifications import Channel, Lane
from pipeline.rendering import Renderer
from pipeline.routing import choose
from simulators.broken import BREAKAGES
from tests.chaos.load import ALIVE, Document, Load, LoadPolicy
from tests.chaos.published import Kind

MANY = 1_000


def load(*, seed: int = 1, people: int = 2, poison: float = 0.2, urgent: float = 0.3) -> Load:
    return Load(
        LoadPolicy(
            prefix="feed",
            seed=seed,
            people=people,
            channels=(Channel.SMS, Channel.PUSH),
            poison=poison,
            urgent=urgent,
        )
    )


def documents_of(some: Load) -> list[Document]:
    for _ in range(3):
        some.follow(some.new_shipment())
    return [some.next_document() for _ in range(MANY)]


def told(document: Document) -> StatusEvent | InvalidInput:
    (result,) = documents.decode(document.value, document.content_type)
    return result


def test_a_seed_gives_one_load() -> None:
    def gist(seed: int) -> list[tuple[Kind, str, str, str]]:
        return [(one.kind, one.id, one.shipment.id, one.way) for one in documents_of(load(seed=seed))]

    assert gist(1) == gist(1)
    assert gist(1) != gist(2)


def test_every_event_tells_all_its_people_on_all_their_channels() -> None:
    renderer = Renderer(templates.load())
    lanes = set()
    for document in documents_of(load(people=3)):
        if document.kind is not Kind.EVENT:
            continue
        event = told(document)
        assert isinstance(event, StatusEvent)
        subscription = subscriptions.decode(document.shipment.subscription())
        assert subscription is not None
        notifications = choose(event, subscription)
        assert len(notifications) == 3 * 2
        for one in notifications:
            renderer.render(event, one.recipient, one.channel)
            lanes.add(one.lane)
    assert lanes == set(Lane)


def test_every_poison_is_refused() -> None:
    poisons = [one for one in documents_of(load(poison=1)) if one.kind is Kind.POISON]

    assert len(poisons) == MANY
    assert {one.way for one in poisons} == set(BREAKAGES)
    for poison in poisons:
        assert isinstance(told(poison), InvalidInput), poison.way


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_shares_are_kept(share: float) -> None:
    some = documents_of(load(poison=share))

    assert sum(one.kind is Kind.POISON for one in some) / MANY == pytest.approx(share, abs=0.05)


def test_there_are_events_of_those_shipments_alone_that_were_followed_last() -> None:
    some = load()
    assert not some.can_go_on
    shipments = [some.new_shipment() for _ in range(3 * ALIVE)]
    for one in shipments:
        some.follow(one)

    assert some.can_go_on
    alive = {one.id for one in shipments[-ALIVE:]}
    assert {some.next_document().shipment.id for _ in range(MANY)} == alive


def test_no_name_comes_twice() -> None:
    some = documents_of(load())

    assert len({one.id for one in some}) == MANY
    assert all(one.id.startswith("feed-") for one in some)


def test_events_are_of_today() -> None:
    event = told(documents_of(load(poison=0))[0])

    assert isinstance(event, StatusEvent)
    assert abs(event.occurred_at - datetime.now(UTC)) < timedelta(minutes=5)
