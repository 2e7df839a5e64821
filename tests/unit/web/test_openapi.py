"""The document says what the code does: the same vocabularies, the same bounds, no dangling reference."""

import json
from importlib.resources import files

import msgspec

from pipeline.events import ID_LENGTH
from pipeline.notifications import Channel, Lane
from pipeline.outcomes import Status
from storage.statuses import NotificationStatus
from web.notifications import LIMIT_DEFAULT, LIMIT_MAX

DOCUMENT = json.loads(files("web").joinpath("openapi.json").read_bytes())
SCHEMAS = DOCUMENT["components"]["schemas"]


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_vocabularies_are_the_pipelines():
    assert set(SCHEMAS["Status"]["enum"]) == set(Status)
    assert set(SCHEMAS["Channel"]["enum"]) == set(Channel)
    assert set(SCHEMAS["Notification"]["properties"]["lane"]["enum"]) == set(Lane)


def test_a_notification_has_the_fields_that_are_shown():
    shown = {field.name for field in msgspec.structs.fields(NotificationStatus)} | {"final"}
    assert set(SCHEMAS["Notification"]["properties"]) == shown
    assert set(SCHEMAS["Notification"]["required"]) == shown
    assert not {"address", "body", "title", "phone"} & shown


def test_the_bounds_are_those_that_are_kept():
    parameters = {one["name"]: one["schema"] for one in DOCUMENT["paths"]["/v1/notifications"]["get"]["parameters"]}
    assert (parameters["limit"]["maximum"], parameters["limit"]["default"]) == (LIMIT_MAX, LIMIT_DEFAULT)
    assert parameters["shipment_id"]["maxLength"] == ID_LENGTH


def test_every_reference_leads_somewhere():
    for reference in references(DOCUMENT):
        node = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
