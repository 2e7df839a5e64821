"""TLS and log-in, against aiosmtpd with a certificate of its own."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.errors import Unavailable
from pipeline.notifications import Channel
from pipeline.ports import Accepted
from providers.email.smtp import SmtpEmail
from tests.integration.providers.provider_contract import kinds, notification

HOST = "127.0.0.1"
USER, PASSWORD = "herald", "opensesame"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate for the loopback, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smtp")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "smtp.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: LoginPassword) -> AuthResult:
    return AuthResult(success=(login.login, login.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@pytest.fixture
async def starttls_port(certificate: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> SMTP:
        return SMTP(
            Sink(),
            hostname="smtp",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    async with await asyncio.get_running_loop().create_server(serve, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def outcome(port: int, *, password: str = PASSWORD, tls: Any = "starttls") -> list[type[object]]:
    provider = SmtpEmail(
        HOST, port, sender="h@example.org", user=USER, password=password, tls=tls, timeout_s=5.0, connections=1
    )
    results = await provider.send([notification(Channel.EMAIL, "a@example.org")] * 2)
    await provider.stop()
    return kinds(results)


async def test_starttls_and_login(starttls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await outcome(starttls_port) == [Accepted, Accepted]


async def test_a_wrong_password_can_be_put_right(
    starttls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await outcome(starttls_port, password="wrong") == [Unavailable, Unavailable]


async def test_a_certificate_that_nobody_vouches_for(starttls_port: int) -> None:
    assert await outcome(starttls_port) == [Unavailable, Unavailable]


async def test_no_password_goes_over_plain_text(starttls_port: int) -> None:
    assert await outcome(starttls_port, tls="none") == [Unavailable, Unavailable]
