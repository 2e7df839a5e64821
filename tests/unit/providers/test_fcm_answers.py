import json

import msgspec
import pytest

from pipeline.errors import DeliveryError, PermanentError, Throttled, Unavailable, Unconfirmed
from pipeline.ports import Accepted
from providers.http import Answer
from providers.push.fcm import error_codes, translate

TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def error(status: str, *details: dict[str, str]) -> bytes:
    return msgspec.json.encode({"error": {"code": 0, "message": "…", "status": status, "details": details}})


@pytest.mark.parametrize(
    ("http", "body", "kind", "code"),
    [
        (404, error("NOT_FOUND", {"@type": TYPE, "errorCode": "UNREGISTERED"}), PermanentError, "UNREGISTERED"),
        (404, error("NOT_FOUND"), Unavailable, "NOT_FOUND"),  # no such project: ours to put right
        (403, error("PERMISSION_DENIED"), Unavailable, "PERMISSION_DENIED"),
        (400, error("INVALID_ARGUMENT", {"@type": "BadRequest"}), PermanentError, "INVALID_ARGUMENT"),
        (429, error("RESOURCE_EXHAUSTED"), Throttled, "RESOURCE_EXHAUSTED"),
        (500, error("INTERNAL"), Unconfirmed, "INTERNAL"),
        (500, error("SOMETHING_NEW"), Unconfirmed, "500"),
        (503, b"<html>", Unavailable, "503"),
        (429, b"[]", Throttled, "429"),
        (502, b"\xff", Unconfirmed, "502"),
        (200, b"{}", Unconfirmed, ""),
    ],
)
def test_errors(http: int, body: bytes, kind: type[DeliveryError], code: str) -> None:
    result = translate(Answer(http, 5.0, body))
    assert type(result) is kind
    assert result.code == code
    assert result.retry_after_s == (None if http == 200 else 5.0)


def test_acceptance_carries_the_name() -> None:
    assert translate(Answer(200, None, json.dumps({"name": "projects/p/messages/1"}).encode())) == Accepted(
        "projects/p/messages/1"
    )


def test_the_more_telling_code_comes_first() -> None:
    body = error("NOT_FOUND", {"@type": TYPE, "errorCode": "UNREGISTERED"})
    assert error_codes(body) == ["UNREGISTERED", "NOT_FOUND"]
