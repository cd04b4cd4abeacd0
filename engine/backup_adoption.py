"""Takes on record what is published in the repository and isn't on record: after an older copy of the database was put back, or by a new
installation on an old repository.

A good signature says that forge had published it, so that it had been decoded. Nothing else is believed, nothing is removed, and what is on
record as deleted stays so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runbook.database_ports import BackupLedger, BackupRepository
from runbook.errors import Permanent
from runbook.values import FORGE, Environment

MOST = 1_000
"""In one pass, the newest first: a repository may hold what nobody removed for years."""

Place = tuple[str, Environment]
"""Service and environment."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """taken: ids that are on record now. left: id and why it was left alone. more: that a pass didn't come to."""

    taken: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    more: int = 0


async def adopt_published(
    repository: BackupRepository, ledger: BackupLedger, places: Collection[Place], *, operator: str = FORGE.id
) -> Adopted:
    """places: whose backups are looked at. operator: an `Actor.id`. May be repeated at any time. Raises Temporary, and Permanent where the
    repository as a whole can't be read."""
    prefixes = tuple(f"{service}-{environment.value}-" for service, environment in places)
    names = [name for name in await repository.published() if name.startswith(prefixes)]
    unknown = [name for name in sorted(names, key=_begun, reverse=True) if await ledger.record(name) is None]
    taken, left = list[str](), list[tuple[str, str]]()
    for name in unknown[:MOST]:
        why = await _adopt(repository, ledger, places, name, operator)
        if why:
            left.append((name, why))
        else:
            taken.append(name)
    return Adopted(tuple(taken), tuple(left), max(0, len(unknown) - MOST))


async def _adopt(
    repository: BackupRepository, ledger: BackupLedger, places: Collection[Place], name: str, operator: str
) -> str:
    """Empty: it is on record; else why not."""
    try:
        manifest = await repository.manifest(name)
        if manifest is None:
            return "its manifest is gone again"
        if (manifest.service, Environment(manifest.environment)) not in places:
            return f"it is one of {manifest.service} on {manifest.environment}"
        if not await repository.complete(manifest):
            return "its files are not all there in the size that its manifest says"
    except Permanent as error:
        return f"{error.cause}. {error.remedy}".rstrip(". ")
    await ledger.adopted(manifest, operator)
    return ""


def _begun(name: str) -> str:
    """The moment within a backup's name: `shop-prod-20260302T020000Z-1f3a`."""
    return name.rsplit("-", 2)[-2]
