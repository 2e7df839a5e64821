"""Writes the JSON Schemas of what others publish and consume: ``python -m docs.contracts.generate``.

Shapes come from the types that the pipeline itself encodes and decodes with; what a type cannot say stands in `FIELDS`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pipeline.documents import MAX_EVENTS
from pipeline.events import StatusEvent
from pipeline.ledger import EventRecord
from pipeline.outcomes import FINAL_STATUSES, Outcome
from pipeline.subscriptions import Subscription
from topics import LEDGER, OUTCOMES, STATUS, SUBSCRIPTIONS

FOLDER = Path(__file__).parent

CONTRACTS: dict[str, Any] = {
    OUTCOMES: Outcome,
    LEDGER: EventRecord,
    STATUS: StatusEvent | Annotated[list[StatusEvent], Meta(min_length=1, max_length=MAX_EVENTS)],
    SUBSCRIPTIONS: Subscription,
}

UUID = {"format": "uuid"}
TIME = {"format": "date-time"}
FIRST_SEEN = "Kafka's time of the record in which the event was first read; the epoch where it is not known."

FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("Outcome", "notification_id"): {**UUID, "description": "The same for the same event, recipient and channel."},
    ("Outcome", "recipient"): {"description": "The subscriber's own id of the person, never an address."},
    ("Outcome", "status"): {
        "description": "How it ended; it never changes afterwards.",
        "enum": sorted(FINAL_STATUSES),
    },
    ("Outcome", "reason"): {"description": "For people; holds no address and no text of the message."},
    ("Outcome", "provider"): {"description": "Null where no provider was asked."},
    ("Outcome", "provider_reference"): {"description": "The provider's own id of the message."},
    ("Outcome", "attempts"): {"description": "Provider calls made for it.", "minimum": 0},
    ("Outcome", "template_version"): {"minimum": 0, "description": "0 where no text could be made."},
    ("Outcome", "locale"): {"description": "The one that it was told in; empty where no text could be made."},
    ("Outcome", "created_at"): TIME,
    ("Outcome", "finished_at"): TIME,
    ("Outcome", "first_seen_at"): {**TIME, "description": FIRST_SEEN},
    ("Outcome", "replay_of"): {
        **UUID,
        "description": "Of a replay: the dead-lettered notification that it told again. Null else.",
    },
    ("EventRecord", "reason"): {
        "description": "Why it was refused, by its field. Of a replay: which one it is, of which dead letter."
    },
    ("EventRecord", "notifications"): {"description": "Each ends in exactly one record of herald.outcomes.v1."},
    ("EventRecord", "recorded_at"): TIME,
    ("EventRecord", "first_seen_at"): {**TIME, "description": FIRST_SEEN},
    ("Source", "partition"): {"minimum": 0},
    ("Source", "offset"): {"minimum": 0},
    ("Source", "index"): {"minimum": 0},
    ("Born", "id"): UUID,
    ("Recipient", "addresses"): {
        "description": "By channel: a phone number in E.164, an email address, a device token.",
        "minProperties": 1,
        "propertyNames": {"$ref": "#/$defs/Channel"},
    },
}


def schema(topic: str) -> dict[str, Any]:
    """The contract of a topic's values, as JSON Schema 2020-12. Fields may be added to it, never taken away."""
    generated = msgspec.json.schema(CONTRACTS[topic])
    for name, definition in list(generated["$defs"].items()):
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].replace("``", "`").split())
        for field, says in definition.get("properties", {}).items():
            says.update(FIELDS.get((name, field), {}))
            if "enum" in says:
                generated["$defs"].pop(says.pop("$ref").rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cargo-herald:{topic}",
        "title": topic,
        **generated,
    }


def path(topic: str) -> Path:
    return FOLDER / f"{topic}.schema.json"


def render(topic: str) -> str:
    return json.dumps(schema(topic), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for topic in CONTRACTS:
        path(topic).write_text(render(topic), encoding="utf-8")
