"""The repository of backups. Nothing is stored in the clear, nothing is overwritten, and nothing is handed out before it was checked whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from integrations.backups.address import SYSTEM, RepositoryAddress
from runbook.backups import BackupOrder, Made, Manifest, StoredFile
from runbook.database_ports import Destination
from runbook.errors import Permanent

_ID: Final = re.compile(r"(?P<service>[a-z0-9][a-z0-9-]*)-(?P<environment>dev|staging|prod)-\d{8}T\d{6}Z-[0-9a-z]+")


def backup_place(backup_id: str) -> str:
    """The folder of a backup within the repository: `shop/prod/shop-prod-20260302T020000Z-1f3a`. Raises Permanent("backups.id")."""
    match = _ID.fullmatch(backup_id)
    if match is None:
        raise Permanent(
            SYSTEM, "id", f"{backup_id[:80]!r} is not the name of a backup", "Look it up with /forge backup list"
        )
    return f"{match['service']}/{match['environment']}/{backup_id}"


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that manifests are signed with. key: its fingerprint. verify: text, signature -> whether it is good."""

    key: str
    sign: Callable[[bytes], bytes]
    verify: Callable[[bytes, bytes], bool]


class Repository:
    """Fulfils `runbook.database_ports.BackupRepository`; `store` and `fetch` are for whatever makes and restores backups.

    A **place** is a folder in it: `backup_place(order.id)` of a backup, or one of the caller's own, such as `shop/prod/wal/7345…`.
    """

    def __init__(self, address: RepositoryAddress, signer: Signer) -> None:
        """Raises what `RepositoryAddress.checked` does; asks nothing of the storage yet."""
        self._address = address.checked()
        self._signer = signer

    @property
    def recipients(self) -> tuple[str, ...]:
        """age public keys."""
        return self._address.recipients

    async def store(
        self,
        place: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        expected_bytes: int = 0,
        stored: Callable[[int, int], None] | None = None,
    ) -> StoredFile:
        """Encrypts a stream into `<place>/<name>-<random>.age`, a key that is never used twice. Holds some 30 MB at most.

        expected_bytes: about how many will come, 0: unknown; beyond 60 GB parts grow. stored: is called with the plain and encrypted bytes
        so far. Whatever `chunks` raises is raised, and then, as after a cancellation, nothing is left behind. Raises Temporary and
        Permanent of "backups".
        """
        raise NotImplementedError

    async def fetch(self, place: str, file: StoredFile, into: Path) -> None:
        """Downloads, checks size and hash of what is stored, decrypts all of it, checks the plain bytes, and only then makes `into` (0600).

        It needs room for both in the folder of `into`. After an error nothing is left. Raises Permanent("backups.tampered"),
        Permanent("backups.missing"), Permanent("backups.key") and Temporary.
        """
        raise NotImplementedError

    async def discard(self, place: str, keys: Iterable[str] | None = None) -> None:
        """Removes these files of a place (`StoredFile.key`), None: all of it. What is not there is fine."""
        raise NotImplementedError

    async def destination(self) -> Destination:
        raise NotImplementedError

    async def confirm(self, order: BackupOrder, made: Made) -> bool:
        raise NotImplementedError

    async def publish(self, manifest: Manifest) -> None:
        raise NotImplementedError

    async def manifest(self, backup_id: str) -> Manifest | None:
        raise NotImplementedError

    async def remove(self, backup_id: str) -> None:
        raise NotImplementedError

    async def published(self) -> tuple[str, ...]:
        raise NotImplementedError
