"""Object storage in the few words that backups need, by obstore: a local folder, S3, Google's or Azure's by the same code.

Nothing is read or written beyond a bounded piece at a time. Errors never quote the storage's own text, which may hold keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import LocalStore, from_url

from integrations.backups.address import SYSTEM, RepositoryAddress
from integrations.backups.own_folder import OwnFolder
from runbook.database_ports import RepositoryMemory
from runbook.errors import ForgeError, Permanent, Temporary

MEBIBYTE: Final = 1024 * 1024
PART_BYTES: Final = 6 * MEBIBYTE
MOST_PARTS: Final = 9_000  # S3 allows 10,000; the estimate may be short
UPLOADS_AT_ONCE: Final = 2
_REMOVED_AT_ONCE: Final = 16
REQUEST_TIMEOUT_S: Final = 60
_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def checked_key(key: str) -> str:
    """A key without any way out of its folder. Raises Permanent("backups.key_name")."""
    if not _KEY.fullmatch(key):
        raise Permanent(SYSTEM, "key_name", f"{key[:80]!r} can't be the name of a stored file")
    return key


def part_bytes(expected_bytes: int) -> int:
    """How large the parts of an upload are: they grow with what wouldn't fit into S3's 10,000 otherwise."""
    return max(PART_BYTES, -(-expected_bytes // MOST_PARTS))


class Objects:
    """One storage. Every call raises Temporary and Permanent of "backups" alone."""

    def __init__(self, address: RepositoryAddress, memory: RepositoryMemory | None = None) -> None:
        """memory: of a local folder; see `OwnFolder`."""
        self._folder = address.folder
        self._own = OwnFolder(address.folder, memory) if address.folder is not None else None
        self._store: Any = None
        self._address = address

    @property
    def folder(self) -> Path | None:
        return self._folder

    async def upload(self, key: str, pieces: AsyncIterator[bytes], expected_bytes: int = 0) -> None:
        """Streams to a key that isn't there yet. A cancelled upload may leave pieces: let `pieces` end instead, then `remove`."""
        with translated(self._folder):
            await obstore.put_async(
                await self._opened(),
                checked_key(key),
                pieces,
                use_multipart=True,
                chunk_size=part_bytes(expected_bytes),
                max_concurrency=UPLOADS_AT_ONCE,
            )
            if self._folder is not None:
                await asyncio.to_thread(_to_disk, self._folder, key)

    async def create(self, key: str, content: bytes) -> bool:
        """A small object; False: there is one already, which stays as it is."""
        with translated(self._folder):
            try:
                await obstore.put_async(
                    await self._opened(), checked_key(key), content, mode="create", use_multipart=False
                )
            except AlreadyExistsError:
                return False
            if self._folder is not None:
                await asyncio.to_thread(_to_disk, self._folder, key)
        return True

    async def size(self, key: str) -> int | None:
        """None: there is no such object."""
        with translated(self._folder):
            try:
                return int((await obstore.head_async(await self._opened(), checked_key(key)))["size"])
            except (NotFoundError, FileNotFoundError):
                return None

    async def read(self, key: str, limit: int) -> bytes | None:
        """A small object, of a larger one the first bytes; None: there is none."""
        size = await self.size(key)
        return None if size is None else b"".join([piece async for piece in self.pieces(key, min(size, limit))])

    async def pieces(self, key: str, size: int) -> AsyncGenerator[bytes, None]:
        """The first `size` bytes, each request a bounded range: one long answer could not be bounded in time. The next range is on its
        way while one is worked on."""
        following: asyncio.Task[bytes] | None = None
        try:
            for start in range(0, size, PART_BYTES):
                piece = await (following or self._range(key, start, size))
                after = start + PART_BYTES
                following = asyncio.create_task(self._range(key, after, size)) if after < size else None
                yield piece
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait({following})

    async def remove(self, keys: Iterable[str]) -> None:
        """What is not there is fine."""
        several = list(keys)
        for start in range(0, len(several), _REMOVED_AT_ONCE):
            await asyncio.gather(*(self._remove(key) for key in several[start : start + _REMOVED_AT_ONCE]))

    async def _remove(self, key: str) -> None:
        with translated(self._folder), contextlib.suppress(NotFoundError, FileNotFoundError):
            await obstore.delete_async(await self._opened(), checked_key(key))

    async def clear(self, prefix: str) -> None:
        """Everything below a folder, and of a local one what a crash left of unfinished files."""
        await self.remove(await self.keys(prefix))
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder / checked_key(prefix), ignore_errors=True)

    async def clear_unfinished(self, prefix: str, older_s: float) -> None:
        """Of a local folder what a crash left of files that were being written so long ago. Object storage shows no such; see docs/backups.md."""
        if self._folder is not None:
            with translated(self._folder):
                await asyncio.to_thread(_remove_unfinished, self._folder / checked_key(prefix), time.time() - older_s)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Full keys of everything below."""
        return tuple(key for key, _, _ in await self.listed(prefix))

    async def listed(self, prefix: str) -> tuple[tuple[str, int, datetime], ...]:
        """Everything below, in order: full key, bytes, and when it was stored."""
        found: list[tuple[str, int, datetime]] = []
        with translated(self._folder):
            async for several in obstore.list(await self._opened(), prefix=checked_key(prefix), chunk_size=1000):
                found += [(entry["path"], int(entry["size"]), entry["last_modified"]) for entry in several]
        return tuple(sorted(found))

    async def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Full names of the folders right below."""
        with translated(self._folder):
            listed = await obstore.list_with_delimiter_async(await self._opened(), prefix=prefix or None)
        return tuple(sorted(listed["common_prefixes"]))

    async def _opened(self) -> Any:
        """Raises what `OwnFolder.ready` does."""
        if self._own is not None:
            await self._own.ready()
        if self._store is None:
            self._store = open_storage(self._address)
        return self._store

    async def _range(self, key: str, start: int, size: int) -> bytes:
        with translated(self._folder):
            end = min(start + PART_BYTES, size)
            return bytes(await obstore.get_range_async(await self._opened(), checked_key(key), start=start, end=end))


def open_storage(address: RepositoryAddress) -> Any:
    """obstore's own object. It asks nothing yet. Raises Permanent("backups.settings")."""
    try:
        if address.folder is not None:
            return LocalStore(address.folder, automatic_cleanup=True)
        settings: dict[str, Any] = {
            "config": dict(address.options),
            "client_options": {
                "allow_http": address.plain_endpoint and address.in_transit,
                "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
                "connect_timeout": timedelta(seconds=10),
            },
            "retry_config": {"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
        }
        return from_url(address.destination, **settings)
    except (BaseError, ValueError, TypeError, OSError) as error:
        unknown = isinstance(error, UnknownConfigurationKeyError)
        cause = "a setting of the object storage is unknown" if unknown else "the object storage can't be opened"
        raise Permanent(SYSTEM, "settings", cause, "Correct integrations.postgres.backups") from None


def _remove_unfinished(folder: Path, before: float) -> None:
    """obstore writes to `<name>#<number>` and renames; no key has such a name."""
    for path in folder.glob("**/*#*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


def _to_disk(folder: Path, key: str) -> None:
    """Onto the disk itself, with its name: obstore leaves that to the operating system."""
    path = folder / key
    for each in (path, *(parent for parent in path.parents if parent.is_relative_to(folder))):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_FULL: Final = ("No space left", "quota exceeded", "File too large")
_SAID: Final = re.compile(
    r"<Code>(\w{1,60})</Code>|\b(?:status|error) (?:code:? )?(\d{3})\b|([A-Z][a-z/ -]{2,60}) \(os error|message: \"([A-Z][a-z ]{2,60})\""
)
_NO_BUCKET: Final = ("HTTP 404", "NoSuchBucket")
"""What a listing gives of one, as an error of no kind of its own."""
_KINDS: Final = (
    ("timed out", "timed out"),
    ("dns error", "its name can't be resolved"),
    ("certificate", "its certificate was refused"),
    ("error sending request", "no usable answer"),
)


@contextlib.contextmanager
def translated(folder: Path | None) -> Iterator[None]:
    """obstore's errors, and the local disk's, in our words."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        # obstore gives Python's own FileNotFoundError, PermissionError and ValueError for some.
        raise _error(error, folder) from None


def _error(error: Exception, folder: Path | None) -> ForgeError:
    text = str(error)
    what = "the backups' folder" if folder is not None else "the object storage"
    if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError) or "Read-only file" in text:
        remedy = "Give forge's user or key the rights to read and write there"
        return Permanent(SYSTEM, "refused", f"{what} refuses forge's access", remedy)
    gone = isinstance(error, NotFoundError | FileNotFoundError) or _reason(text) in _NO_BUCKET
    if gone or (folder is not None and not folder.is_dir()):
        remedy = "Look whether the bucket or folder of integrations.postgres.backups.destination is there, and who removed it"
        return Permanent(SYSTEM, "missing", f"{what}, or what was looked for there, is gone", remedy)
    if isinstance(error, InvalidPathError):
        return Permanent(SYSTEM, "key_name", f"{what} can't have a file of that name")
    if any(words in text for words in _FULL):
        return Temporary(SYSTEM, "full", f"{what} is full", "Make room, or let the retention remove old backups")
    return Temporary(SYSTEM, "storage", f"{what} failed: {_reason(text)}")


def _reason(text: str) -> str:
    """A few words of a known shape: the whole text may quote a key."""
    if match := _SAID.search(text):
        said = match[1] or match[3] or match[4]
        return said if match[1] else said.lower() if said else f"HTTP {match[2]}"
    return next((reason for words, reason in _KINDS if words in text), "an unexpected answer")
