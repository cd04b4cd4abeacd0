"""Repositories for tests: keys of their own, bytes to store, and manifests about them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from integrations.backups import Repository, RepositoryAddress, Signer, backup_place
from integrations.backups.own_folder import MARKER
from runbook.backups import BackupKind, BackupOrder, Made, Manifest, ServerFacts, StoredFile, manifest_of
from runbook.database_ports import RepositoryMemory

ORDER = BackupOrder("shop-prod-20260302T020000Z-1f3a", BackupKind.LOGICAL, "shop", "prod", "run-1", "forge")
AT = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
FACTS = ServerFacts(180006, "18.6", "7345", 9, False, 1, "0/1", "replica", None, True, AT, "shop")


@dataclass(frozen=True)
class Keys:
    """An age identity in a file, and a signer."""

    folder: Path
    identity: object
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def recipient(self) -> str:
        return str(self.identity.to_public())  # type: ignore[attr-defined]

    @property
    def identity_file(self) -> Path:
        return self.folder / "identity.txt"

    @property
    def signer(self) -> Signer:
        return Signer("SHA256:test", self.private.sign, self._good)

    def _good(self, text: bytes, signature: bytes) -> bool:
        try:
            self.private.public_key().verify(signature, text)
        except InvalidSignature:
            return False
        return True


def new_keys(folder: Path) -> Keys:
    folder.mkdir(parents=True, exist_ok=True)
    keys = Keys(folder, pyrage.x25519.Identity.generate())
    keys.identity_file.write_text(f"# made for a test\n{keys.identity}\n")
    return keys


def new_repository(
    folder: Path,
    keys: Keys,
    destination: str | None = None,
    options: Mapping[str, str] | None = None,
    memory: RepositoryMemory | None = None,
) -> Repository:
    """In `<folder>/repository` where nothing else is named."""
    address = RepositoryAddress(
        destination=destination or str(folder / "repository"),
        recipients=(keys.recipient,),
        scratch=folder / "scratch",
        identity_file=keys.identity_file,
        options=options or {},
    )
    return Repository(address, keys.signer, memory)


def random_bytes(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


async def in_pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def stored_backup(repository: Repository, content: bytes, order: BackupOrder = ORDER) -> tuple[Made, Manifest]:
    """Stored, not published."""
    file = await repository.store(backup_place(order.id), "dump", in_pieces(content))
    made = made_of(file, repository)
    return made, manifest_of(order, "shop", made)


def made_of(file: StoredFile, repository: Repository) -> Made:
    return Made(
        server=FACTS, client="18.6", files=(file,), started_at=AT, finished_at=AT, entries=3, decoded=True,
        lsn_start="0/1", lsn_end="0/2", timeline=1, recipients=repository.recipients,
    )  # fmt: skip


def order_named(suffix: str, service: str = "shop", environment: str = "prod") -> BackupOrder:
    """suffix: four hex digits."""
    name = f"{service}-{environment}-20260302T020000Z-{suffix}"
    return replace(ORDER, id=name, service=service, environment=environment)


def everything_in(folder: Path) -> list[str]:
    """Files below, hidden ones too, but the one by which the folder is forge's repository."""
    found = (path for path in folder.rglob("*") if path.is_file() and path != folder / MARKER)
    return sorted(str(path.relative_to(folder)) for path in found)


async def assert_nothing_left(repository: Repository, folder: Path) -> None:
    """Neither stored nor half stored. folder: what `new_repository` got."""
    assert await repository.files("shop") == ()
    assert everything_in(folder / "repository") == []
