"""Who are we to Google? A service account's key file, and the signed assertion made from it (RFC 7523)."""

from pathlib import Path
from typing import Self

import msgspec
from google.auth import crypt, jwt

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
ASSERTION_LIFETIME_S = 3_600


class KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    """The fields in use of the JSON file that Google's console hands out."""

    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str


class ServiceAccount:
    """A key file that was read and found usable."""

    def __init__(self, key: KeyFile) -> None:
        """Raises ValueError if ``private_key`` is no RSA key in PEM."""
        self.project_id = key.project_id
        self.client_email = key.client_email
        self.token_uri = key.token_uri
        try:
            self._signer = crypt.RSASigner.from_string(key.private_key, key.private_key_id)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ValueError("private_key: no RSA private key in PEM form") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError if the file cannot be read, ValueError naming the file and the field that is wrong."""
        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=KeyFile))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    def assertion(self, *, now: float) -> str:
        """A JWT that the token endpoint exchanges for an access token; ``now`` in epoch seconds."""
        claims = {
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": int(now),
            "exp": int(now) + ASSERTION_LIFETIME_S,
        }
        token: bytes = jwt.encode(self._signer, claims)  # type: ignore[no-untyped-call]
        return token.decode("ascii")
