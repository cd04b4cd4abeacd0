"""Where restored databases stand: on PostgreSQL servers of forge's own, each in a folder below scratch that is wiped afterwards.

No PostgreSQL program is started before everything it will read has been fetched, decrypted and hashed whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from integrations.backups import Repository, backup_place, is_compressed, wal_place
from integrations.postgres.instances import FILLING, LocalInstances, Places, instance
from integrations.postgres.programs import ProgramFinder
from integrations.postgres.restore_checks import restored_facts
from integrations.postgres.restoring import dump_of, replay, restore_dump, write_recovery_service
from integrations.postgres.wal_files import Needed, needed_wal
from runbook.backups import (
    BackupKind,
    Instance,
    Manifest,
    Progress,
    RestoreChecks,
    RestoredFacts,
    StoredFile,
    WalSegment,
)
from runbook.database_ports import RestoreOrder, Tell
from runbook.errors import Permanent, Temporary
from runbook.values import Environment

Segments = Callable[[str, Environment], Awaitable[Sequence[WalSegment]]]
"""The ledger's record of archived WAL (`BackupLedger.segments`)."""

_SPARE: Final = 64 * 1024 * 1024
_DATA: Final = "backup"
_WHOLE: Final = "whole.json"


class LocalRestores:
    """Fulfils `runbook.database_ports.RestoreHost`. settings: more settings of its servers, by name."""

    def __init__(
        self,
        scratch: Path,
        programs: ProgramFinder,
        repository: Repository,
        segments: Segments,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._programs = programs
        self._repository = repository
        self._segments = segments
        self._instances = LocalInstances(scratch, programs, settings)

    async def fetch(self, order: RestoreOrder, tell: Tell) -> None:
        """Fetches anew what is there already: nothing says that it was left alone. Raises Temporary("backups.room") as well."""
        manifest = order.manifest
        needed = await self._needed(order)
        wal = needed.files
        places = await asyncio.to_thread(self._instances.prepare, order.name)
        await asyncio.to_thread(_emptied, places.fetched, places.wal)
        _room(places, manifest, wal)
        files = [
            (backup_place(manifest.id), file, places.fetched / f"{_DATA}-{n}") for n, file in enumerate(manifest.files)
        ]
        of_wal = wal_place(manifest.service, manifest.environment, manifest.system_identifier)
        files += [(of_wal, segment.file, places.wal / segment.name) for segment in wal]
        async with _told(places, sum(file.plain.bytes for _, file, _ in files), tell):
            for place, file, into in files:
                await self._repository.fetch(place, file, into)
        await asyncio.to_thread(_mark, places, order, needed.timeline)

    async def provision(self, order: RestoreOrder) -> Instance:
        """Of a base backup the server starts with `restore`: it is that backup."""
        name, manifest = order.name, order.manifest
        if manifest.kind is BackupKind.LOGICAL:
            return await self._instances.provision(name, manifest.major, manifest.database, FILLING)
        await self._programs.exactly("postgres", manifest.major)
        places = await asyncio.to_thread(self._instances.prepare, name)
        write_recovery_service(places, manifest)
        return instance(name, manifest.major, places, manifest.database)

    async def restore(self, order: RestoreOrder, instance: Instance, tell: Tell) -> datetime | None:
        """Raises Permanent("backups.not_fetched") where `fetch` did not come to its end, beside what the programs give."""
        manifest = order.manifest
        places = self._instances.places(instance.name)
        timeline = await asyncio.to_thread(_marked, places, order)
        backup = places.fetched / f"{_DATA}-0"
        if manifest.kind is BackupKind.BASE:
            return await replay(self._instances, order.name, manifest, backup, order.until, timeline, tell)
        await self._instances.begin_filling(order.name, manifest.major, manifest.database)
        await restore_dump(self._programs, places, manifest, backup, tell)
        await self._instances.settle(order.name, manifest.major)
        return None

    async def archive(self, order: RestoreOrder, tell: Tell) -> tuple[Path, datetime | None]:
        """A dump in scratch that any server of the same major version can be filled from: the one that was fetched; of a base backup, one
        of the database as it was recovered here, with the moment that it was recovered to. Raises as `restore` does."""
        places = self._instances.places(order.name)
        if order.manifest.kind is BackupKind.LOGICAL:
            await asyncio.to_thread(_marked, places, order)
            return places.fetched / f"{_DATA}-0", None
        reached = await self.restore(order, await self.provision(order), tell)
        dump = places.folder / "moved.dump"
        await dump_of(self._programs, places, order.manifest, dump)
        await self._instances.stop(order.name)
        return dump, reached

    def folder(self, name: str) -> Path:
        """Its own in scratch; made where it isn't there. Raises Permanent("postgres.scratch")."""
        return self._instances.prepare(name).folder

    async def check(self, instance: Instance, checks: RestoreChecks) -> RestoredFacts:
        """Starts the server again where the machine was restarted since."""
        await self._instances.start(instance.name, instance.major)
        return await restored_facts(instance, checks)

    async def admit(self, name: str, target: Environment) -> None:
        """Nothing: nobody else gets to a socket in scratch."""

    async def drop(self, name: str, target: Environment | None = None) -> None:
        await self._instances.drop(name)

    async def standing(self) -> tuple[str, ...]:
        return await self._instances.standing()

    async def _needed(self, order: RestoreOrder) -> Needed:
        """The WAL that a recovery to the order's moment needs; none for all that the backup has by itself."""
        manifest = order.manifest
        if len(manifest.files) != 1:
            raise Permanent(
                "backups", "files", f"{manifest.id} has {len(manifest.files)} files, not one", "Choose another backup"
            )
        if manifest.kind is BackupKind.LOGICAL or order.until is None:
            return Needed((), manifest.timeline)
        segments = await self._segments(manifest.service, Environment(manifest.environment))
        return needed_wal(manifest, segments, order.until)


def _mark(places: Places, order: RestoreOrder, timeline: int) -> None:
    """Says that all was fetched: a recovery with less WAL than it needs would end early without an error."""
    text = json.dumps({**_what(order), "timeline": timeline})
    (places.fetched / _WHOLE).write_text(text, encoding="utf-8")


def _marked(places: Places, order: RestoreOrder) -> int:
    """The timeline to follow."""
    try:
        found = json.loads((places.fetched / _WHOLE).read_text(encoding="utf-8"))
        if all(found[word] == value for word, value in _what(order).items()):
            return int(found["timeline"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise Permanent("backups", "not_fetched", f"{order.manifest.id} was not fetched whole", "Begin the restore again")


def _what(order: RestoreOrder) -> dict[str, str]:
    return {"backup": order.manifest.id, "until": order.until.isoformat() if order.until else ""}


def _emptied(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)


def _room(places: Places, manifest: Manifest, wal: Sequence[WalSegment]) -> None:
    """For what is decrypted, once more for what is made of it, and for the largest file while it is still compressed too."""
    files: list[StoredFile] = [*manifest.files, *(segment.file for segment in wal)]
    packed = max((file.cipher.bytes for file in files if is_compressed(file)), default=0)
    needed = 2 * sum(file.plain.bytes for file in files) + packed
    free = shutil.disk_usage(places.folder).free
    if free < needed + _SPARE:
        cause = f"scratch has {free // 1_000_000} MB of room; restoring {manifest.id} needs at least {needed // 1_000_000} MB"
        raise Temporary("backups", "room", cause, "Make room there, or configure another scratch folder")


@contextlib.asynccontextmanager
async def _told(places: Places, of: int, tell: Tell) -> AsyncIterator[None]:
    began = time.monotonic()

    def size() -> int:
        with contextlib.suppress(FileNotFoundError):
            return sum(path.stat().st_size for folder in (places.fetched, places.wal) for path in folder.iterdir())
        return 0

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            done = min(of, await asyncio.to_thread(size))
            tell(Progress("fetching", done, done, of, time.monotonic() - began))

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
    tell(Progress("fetching", of, of, of, time.monotonic() - began))
