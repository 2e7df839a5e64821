"""How do we come by a service account for the simulated FCM? By making one, in the format of Google's key files."""

import json
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "cargo-herald-demo"
KEY_BITS = 2_048


class PublicSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint knows of an account; ``public_key`` is PEM."""

    project_id: str
    client_email: str
    token_uri: str
    public_key: bytes


def write_key_file(path: Path, *, token_uri: str) -> None:
    """A new account with a key that no other run has; readable by its owner alone."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "simulated",
                "private_key": pem.decode("ascii"),
                "client_email": f"herald@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": token_uri,
            }
        )
    )


def read_public_side(path: Path) -> PublicSide:
    fields = json.loads(path.read_text())
    key = serialization.load_pem_private_key(fields["private_key"].encode("ascii"), password=None)
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicSide(
        project_id=fields["project_id"],
        client_email=fields["client_email"],
        token_uri=fields["token_uri"],
        public_key=public_key,
    )
