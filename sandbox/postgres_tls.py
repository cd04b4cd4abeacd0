"""Certificates for a PostgreSQL on 127.0.0.1: an authority of its own and a server's certificate that it signed."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=2)


def write_certificates(folder: Path) -> Path:
    """Writes `authority.pem`, `server.pem` and `server.key` (0600), and returns the key's path. Valid for two days."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _named("forge sandbox authority")
    server_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate(authority, authority, authority_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    reached = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    served = _certificate(_named("localhost"), authority, server_key.public_key()).add_extension(
        x509.SubjectAlternativeName(reached), critical=False
    )
    for name, builder in (("authority.pem", root), ("server.pem", served)):
        signed = builder.sign(authority_key, hashes.SHA256())
        (folder / name).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (folder / name).chmod(0o644)
    key = folder / "server.key"
    key.touch(0o600)
    key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return key


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )
