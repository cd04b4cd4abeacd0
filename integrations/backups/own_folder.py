"""A local destination is forge's repository by the marker that lies in it, and forge remembers which one it was.

An unmounted volume leaves an empty folder, or none: it must never be taken for a new repository, for backups would then land on the root
disk beneath the mount point. So a folder is begun only where forge has never seen one there, and has no backup on record.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from integrations.backups.address import SYSTEM
from integrations.backups.manifests import NAME as MANIFEST
from integrations.backups.manifests import backup_place
from runbook.database_ports import KnownPlace, RepositoryMemory
from runbook.errors import Permanent, StoreUnavailable, Temporary

MARKER: Final = ".forge-repository"
"""No key begins with a dot. {"made_at": an ISO moment, by which one repository is told from another}; without a moment, as of a file that a
person made: this folder is to be the repository from now on."""

_LARGEST: Final = 4_096
_WHAT: Final = "forge's repository of backups: without this file forge writes nothing here"


class OwnFolder:
    """Of one process. `ready` comes before each call on the storage, also one that reads: an empty folder says nothing about backups."""

    def __init__(self, folder: Path, memory: RepositoryMemory | None = None) -> None:
        """memory: None where forge keeps no record: then only what this process has seen counts."""
        self._folder = folder
        self._memory = memory
        self._made_at: datetime | None = None
        self._looking = asyncio.Lock()

    async def ready(self) -> None:
        """Raises Permanent("backups.unmounted"), Permanent("backups.another"), Temporary("backups.record") and OSError."""
        found = _read(self._folder)
        if self._made_at is None or (found is not None and found.made_at != self._made_at):
            async with self._looking:
                self._made_at = await self._look()
        elif found is None:
            raise _unmounted(self._folder)
        _close(self._folder)

    async def _look(self) -> datetime:
        """When the repository that is there was begun: the one that is known, or a new one where none is."""
        known = await self._known()
        found = _read(self._folder)
        if found is None:
            self._check_new(known)
            made_at = _begin(self._folder)
        elif found.made_at is None:
            made_at = _begin_anew(self._folder)
        elif known.made_at not in (None, found.made_at):
            raise _another(self._folder)
        else:
            made_at = found.made_at
        if known.made_at != made_at:
            await self._remember(made_at)
        return made_at

    def _check_new(self, known: KnownPlace) -> None:
        """One of before there were markers has the newest backup that is on record."""
        if known.made_at is not None:
            raise _unmounted(self._folder)
        if known.newest and not (self._folder / backup_place(known.newest) / MANIFEST).is_file():
            raise _unmounted(self._folder, f"it doesn't hold {known.newest}, the newest backup on record")

    async def _known(self) -> KnownPlace:
        if self._memory is None:
            return KnownPlace(self._made_at)
        with _translated():
            return await self._memory.known_place(str(self._folder))

    async def _remember(self, made_at: datetime) -> None:
        if self._memory is not None:
            with _translated():
                await self._memory.place_seen(str(self._folder), made_at)


@dataclass(frozen=True)
class _Marker:
    """made_at: None in one that a person made."""

    made_at: datetime | None


def _read(folder: Path) -> _Marker | None:
    """None: there is none. Raises OSError."""
    try:
        with (folder / MARKER).open("rb") as file:
            text = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        made_at = datetime.fromisoformat(json.loads(text)["made_at"])
    except (ValueError, TypeError, KeyError):
        return _Marker(None)
    return _Marker(made_at if made_at.tzinfo is not None else None)


def _begin(folder: Path) -> datetime:
    """Makes the folder, private, and its marker, onto the disk. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close(folder)
    made_at = datetime.now(UTC)
    try:
        _write(folder / MARKER, made_at)
    except FileExistsError:  # another process, such as `forge doctor`, has begun it just now
        found = _read(folder)
        made_at = (found.made_at if found is not None else None) or _begin_anew(folder)
    _to_disk(folder)
    return made_at


def _begin_anew(folder: Path) -> datetime:
    """In place of what a person put there. Raises OSError."""
    hidden, made_at = folder / f"{MARKER}-{secrets.token_hex(4)}", datetime.now(UTC)
    try:
        _write(hidden, made_at)
        hidden.replace(folder / MARKER)
    finally:
        hidden.unlink(missing_ok=True)
    _to_disk(folder)
    return made_at


def _write(path: Path, made_at: datetime) -> None:
    """Raises FileExistsError where there is one."""
    with path.open("x") as file:
        json.dump({"made_at": made_at.isoformat(), "what": _WHAT}, file)
        file.flush()
        os.fsync(file.fileno())


def _to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _close(folder: Path) -> None:
    """Forge's user alone: a dump is readable by nobody else even before it is decrypted. Raises OSError."""
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _unmounted(folder: Path, why: str = "") -> Permanent:
    why = why or (f"it has no {MARKER}" if folder.is_dir() else "it is gone")
    remedy = (
        "Is its volume mounted? Mount it there. Only where it is to be forge's repository as it is now: "
        f"`mkdir -p {folder} && touch {folder}/{MARKER}`, as forge's user"
    )
    return Permanent(SYSTEM, "unmounted", f"the backups' folder {folder} is not what it was: {why}", remedy)


def _another(folder: Path) -> Permanent:
    remedy = (
        "Is the right volume mounted? Mount it there. Only where this one is meant from now on: "
        f"empty {folder}/{MARKER}, as forge's user"
    )
    return Permanent(SYSTEM, "another", f"the backups' folder {folder} is another repository than it was", remedy)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:
        cause = "forge's own record doesn't answer, so that nobody knows whether the backups' folder is the right one"
        raise Temporary(SYSTEM, "record", cause) from None
