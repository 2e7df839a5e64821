import json
from pathlib import Path

import pytest
from google.auth import jwt

from providers.push.service_account import ServiceAccount
from simulators.key_file import read_public_side, write_key_file

TOKEN_URI = "http://127.0.0.1/token"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.json"
    write_key_file(path, token_uri=TOKEN_URI)
    return path


def test_assertion_is_signed_for_the_token_endpoint(key_file: Path) -> None:
    now = 1_772_366_400.7
    assertion = ServiceAccount.load(key_file).assertion(now=now)
    public = read_public_side(key_file)
    claims = jwt.decode(assertion, verify=False)
    assert (claims["iss"], claims["aud"], claims["iat"]) == (public.client_email, TOKEN_URI, 1_772_366_400)
    assert claims["exp"] - claims["iat"] == 3_600
    with pytest.raises(ValueError, match="expired"):  # the signature is checked before the dates
        jwt.decode(assertion, certs=public.public_key, audience=TOKEN_URI)


@pytest.mark.parametrize("field", ["project_id", "private_key_id", "private_key", "client_email", "token_uri"])
def test_a_missing_field_is_named(key_file: Path, tmp_path: Path, field: str) -> None:
    fields = json.loads(key_file.read_text())
    del fields[field]
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=rf"broken\.json.*{field}"):
        ServiceAccount.load(broken)


@pytest.mark.parametrize(("content", "problem"), [("", "truncated"), ("[]", "object"), ("{", "truncated")])
def test_what_is_no_key_file(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=problem):
        ServiceAccount.load(path)


def test_a_key_that_is_none(key_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(json.loads(key_file.read_text()) | {"private_key": "secret words"}))
    with pytest.raises(ValueError, match="private_key") as raised:
        ServiceAccount.load(broken)
    assert "secret words" not in str(raised.value)
