"""What must be right of the place of backups: it can be written, nothing is in the clear, somebody can decrypt it, restores have room.

A small object is written, read and removed there; nothing else is changed, but that a repository that there has never been is begun.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

from bot.checks.findings import Finding, fail, ok, warn
from bot.configuration.connections import BackupsConnection
from bot.databases import DatabaseAdapters, identity_file
from runbook.backups import ServerFacts
from runbook.database_ports import Destination, KnownPlace
from runbook.errors import ForgeError, StoreUnavailable
from runbook.policy import BackupsPolicy
from runbook.wording import size

DESTINATION, KEYS, SCRATCH = "backups.destination", "backups.keys", "backups.scratch"
LEAST_FREE = 1024**3


class OnRecord:
    """Fulfils `RepositoryMemory` beside a running forge: it looks into its database. What is seen is for that one to remember."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self._database_url, self._data_dir = database_url, data_dir

    async def known_place(self, destination: str) -> KnownPlace:
        return await asyncio.to_thread(self._look, destination)

    async def place_seen(self, destination: str, made_at: datetime) -> None:
        """Nothing: who serves finds the folder's marker."""

    def _look(self, destination: str) -> KnownPlace:
        from engine.backup_places import known_place
        from state.store import open_store

        try:
            with open_store(self._database_url, data_dir=self._data_dir, read_only=True) as store:
                return store.read_now(lambda ledger: known_place(ledger, destination))
        except StoreUnavailable as error:
            if error.code == "store.missing":  # before the first start
                return KnownPlace()
            raise


async def check_destination(adapters: DatabaseAdapters) -> AsyncIterator[Finding]:
    """Raises its error where the storage doesn't answer."""
    repository = adapters.repository
    if repository is not None:
        for finding in judge_destination(await repository.destination()):
            yield finding


def judge_destination(found: Destination) -> Iterator[Finding]:
    if not found.writable:
        why = f": {found.problem}" if found.problem else ""
        yield fail(DESTINATION, f"{found.where} can't be written{why}", "Let forge's user write and remove there")
        return
    if not found.encrypted:
        yield fail(DESTINATION, "nobody is configured whom backups are encrypted to", "Add `recipients`")
    if not found.in_transit:
        yield fail(DESTINATION, f"{found.where} is reached without TLS", "Use an https:// endpoint")
    if found.free_bytes is not None and found.free_bytes < LEAST_FREE:
        text = f"only {size(found.free_bytes)} are free at {found.where}"
        yield warn(DESTINATION, text, "Make room: a backup that doesn't fit is none")
    yield ok(DESTINATION, f"{found.where} can be written, read and cleared")


async def check_keys(backups: BackupsConnection, policy: BackupsPolicy) -> AsyncIterator[Finding]:
    """The private key decrypts what is made, where restores and drills are to run."""
    yield ok(KEYS, f"backups are encrypted to {len(backups.recipients)} recipients")
    if backups.identity is None:
        if policy.drill:
            remedy = 'Set FORGE_BACKUP_IDENTITY, or `identity: {file: …}`; where another forge drills, write `drill: ""` in policy.backups'
            yield fail(
                KEYS, "no private key is configured, and drills are due here: none can be done, nor a restore", remedy
            )
        else:
            yield ok(KEYS, "no private key is configured: nothing is restored here")
        return
    yield await asyncio.to_thread(_matching, backups)


def _matching(backups: BackupsConnection) -> Finding:
    from integrations.backups.encryption import read_identities

    try:
        identities = read_identities(identity_file(backups.identity))
    except ForgeError as error:
        return fail(KEYS, error.cause, error.remedy)
    own = {str(identity.to_public()) for identity in identities}
    if own.isdisjoint(backups.recipients):
        remedy = "Add its public key (`age-keygen -y`) to `recipients`, or configure the identity of one of them"
        return fail(
            KEYS, "the private key belongs to none of the recipients: it can't decrypt what is backed up now", remedy
        )
    if own >= set(backups.recipients):
        remedy = "Add the public key of one that is kept elsewhere: who has this machine alone could lose or read all of them"
        return warn(KEYS, "every key that can decrypt the backups is on this machine", remedy)
    return ok(KEYS, "the private key is one of a recipient")


def _closed_to_servers(folder: Path) -> Path | None:
    """PostgreSQL refuses to run as root; then its servers are nobody's, who has to reach them."""
    if os.geteuid() != 0:
        return None
    return next(
        (parent for parent in folder.resolve().parents if parent.exists() and not parent.stat().st_mode & 0o001), None
    )


async def check_scratch(folder: Path, adapters: DatabaseAdapters) -> AsyncIterator[Finding]:
    """Private, and with room for the largest database, as far as databases answer."""
    answers = await asyncio.gather(*(found.look() for found in adapters.databases.values()), return_exceptions=True)
    largest = max((found.database_bytes for found in answers if isinstance(found, ServerFacts)), default=0)
    for finding in await asyncio.to_thread(lambda: list(_scratch(folder, largest))):
        yield finding


def _scratch(folder: Path, largest_bytes: int) -> Iterator[Finding]:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if place != folder:
        if not os.access(place, os.W_OK | os.X_OK):
            yield fail(
                SCRATCH, f"{folder} doesn't exist and can't be made here", f"mkdir -m 700 {folder}, owned by forge"
            )
            return
    elif not folder.is_dir() or folder.is_symlink() or not os.access(folder, os.W_OK | os.X_OK):
        yield fail(SCRATCH, f"{folder} is no folder that forge can write", "Make it a folder of forge's own user")
        return
    elif stat.S_IMODE(folder.stat().st_mode) & 0o066:
        yield fail(SCRATCH, f"others may look into {folder}, where backups are decrypted", f"chmod 700 {folder}")
        return
    if closed := _closed_to_servers(folder):
        text = f"servers of restores run as nobody, who can't get through {closed} to {folder}"
        yield fail(SCRATCH, text, "Run forge as a user of its own, or name another folder beneath `scratch`")
        return
    free, wanted = shutil.disk_usage(place).free, max(LEAST_FREE, 3 * largest_bytes)
    text = f"{size(free)} are free at {folder}"
    if free < wanted:
        remedy = f"Make room for {size(wanted)}: a stored and a decrypted backup, and its restored database"
        yield warn(SCRATCH, f"only {text}", remedy)
    else:
        yield ok(SCRATCH, text)
