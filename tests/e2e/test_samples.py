"""Documents from disk through `herald publish`: what is sound ends in outcomes, what is not is named by its field."""

import json
from collections.abc import Iterator
from pathlib import Path

from pipeline import documents
from pipeline.events import StatusEvent
from pipeline.outcomes import Status
from pipeline.vocabulary import MEANINGS
from tests.e2e.cargo import Shipment
from tests.e2e.world import World

FIXTURES = Path(__file__).parents[1] / "fixtures"
BOOKING, CONTAINER = "EXB0000001", "EXLU1730838"


def about(shipment: Shipment, text: str) -> str:
    """As if the document were about this shipment, whichever way it refers to it."""
    return text.replace(BOOKING, shipment.id).replace(CONTAINER, shipment.id)


def files(folder: Path) -> Iterator[tuple[Shipment, Path]]:
    """Every kind of document, each about a shipment of its own; 3.0 also with each kind of event by itself."""
    texts = {
        name: (FIXTURES / f"{name}.json").read_text()
        for name in ("dcsa-v2-single", "dcsa-v2-array", "dcsa-v3", "dcsa-v3-container-only")
    }
    for event in json.loads(texts["dcsa-v3"])["events"]:
        kind = event["eventClassification"]["eventTypeCode"].lower()
        texts[f"dcsa-v3-{kind}"] = json.dumps({"events": [event]})
    for name, text in texts.items():
        shipment = Shipment()
        path = folder / f"{name}.json"
        path.write_text(about(shipment, text))
        yield shipment, path


def events_of(path: Path) -> list[StatusEvent]:
    events = []
    for one in documents.decode(path.read_bytes(), None):
        assert isinstance(one, StatusEvent), one
        events.append(one)
    return events


def test_every_sound_document_ends_in_outcomes(world: World, tmp_path: Path) -> None:
    published = dict(files(tmp_path))
    world.subscribe(*published)
    command = world.herald("publish", *published.values())
    assert command.returncode == 0, command.stdout + command.stderr
    for shipment, path in published.items():
        events = [event for event in events_of(path) if MEANINGS[event.status].told]
        ids = {id for event in events for id in shipment.ids(event)}
        assert ids, path.name
        rows = world.outcomes_of(ids)
        assert {row["status"] for row in rows.values()} == {Status.SENT}, path.name
        assert {row["shipment_id"] for row in rows.values()} == {shipment.id}, path.name


def test_a_wrong_document_is_named_and_its_neighbours_are_published(world: World, tmp_path: Path) -> None:
    shipment = Shipment()
    world.subscribe(shipment)
    paths = []
    for name in ("dcsa-v2-wrong-nesting", "dcsa-v2-single"):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(about(shipment, (FIXTURES / f"{name}.json").read_text()))
    command = world.herald("publish", *paths)
    assert command.returncode == 1, command.stdout + command.stderr
    assert "Traceback" not in command.stderr
    refusal = command.stdout[command.stdout.index("Refused") :]
    assert "dcsa-v2-wrong-nesting.json" in refusal
    assert "eventID" in refusal
    (event,) = events_of(paths[1])
    world.outcomes_of(shipment.ids(event))
    assert world.dispositions(shipment, 1) == ["accepted"]
