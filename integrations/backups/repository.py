"""The repository of backups. Nothing is stored in the clear, nothing is overwritten, and nothing is handed out before it was checked whole."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from integrations.backups import manifests
from integrations.backups.address import SYSTEM, RepositoryAddress
from integrations.backups.compression import Compressor, expand, is_compressed, stored_name
from integrations.backups.decryption import unseal
from integrations.backups.encryption import Sealing, Tally, ended, over, parsed_recipients, read_identities
from integrations.backups.manifests import Signer, backup_place, wal_place
from integrations.backups.objects import Objects, checked_key
from runbook.backups import BackupOrder, Digest, Made, Manifest, StoredFile, WalSegment
from runbook.database_ports import Destination, RepositoryMemory, WalFile
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.values import Environment

_THREADS: Final = 32
_PROBE_TIMEOUT_S: Final = 45.0
_ABANDON_TIMEOUT_S: Final = 20.0
_UNFINISHED_S: Final = 86_400.0
_ASKED_AT_ONCE: Final = 16
_PROBES: Final = "probe"
_PROBE_TRIES: Final = 3


class Repository:
    """Fulfils `runbook.database_ports.BackupRepository`; `store` and `fetch` are for whatever makes and restores backups.

    A **place** is a folder in it: `backup_place(order.id)` of a backup, or one of the caller's own, such as `shop/prod/wal/7345…`.
    """

    def __init__(self, address: RepositoryAddress, signer: Signer, memory: RepositoryMemory | None = None) -> None:
        """memory: of which local folder is the repository; see `OwnFolder`. Raises what `RepositoryAddress.checked` does; asks nothing of the
        storage yet."""
        self._address = address.checked()
        self._signer = signer
        self._objects = Objects(address, memory)
        self._probing = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "backups")  # a stream keeps its thread until its end

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
        compressed: bool = False,
    ) -> StoredFile:
        """Encrypts a stream into `<place>/<name>-<random>.age`, a key that is never used twice. Holds some 30 MB at most.

        compressed: by zstd before that, into `….zst.age`; for what isn't compressed yet. expected_bytes: about how many will come, 0: unknown;
        beyond 50 GB parts grow. stored: is called with the plain and encrypted bytes
        so far. Whatever `chunks` raises is raised, and then, as after a cancellation, nothing is left behind. Raises Temporary and
        Permanent of "backups".
        """
        key = stored_name(name, secrets.token_hex(4), compressed=compressed)
        full = checked_key(f"{place}/{key}")
        sealing = Sealing(self.recipients, self._threads, Compressor().more if compressed else None)
        feeding = asyncio.create_task(sealing.feed(chunks))
        pieces = _told(sealing, stored) if stored else sealing.pieces()
        uploading = asyncio.create_task(self._objects.upload(full, pieces, expected_bytes))
        try:
            done, _ = await asyncio.wait({feeding, uploading}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (feeding, uploading):  # what the source says explains more than what the upload does
                if task in done:
                    task.result()
        except BaseException:
            await ended(feeding)
            await sealing.abort()
            await self._abandon(full, uploading)
            raise
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        return StoredFile(key, sealing.plain.digest(), sealing.cipher.digest())

    async def fetch(self, place: str, file: StoredFile, into: Path) -> None:
        """Downloads, hashes, decrypts and hashes in one pass; makes `into` (0600) only when sizes and both hashes are the manifest's.

        Until then what comes out lies beside it under a hidden name, that nobody is told. After an error nothing is left. Raises
        Permanent("backups.tampered"), Permanent("backups.missing"), Permanent("backups.key") and Temporary.
        """
        identities = await asyncio.to_thread(read_identities, self._address.identity_file)
        hidden, packed = (into.with_name(f".{into.name}-{secrets.token_hex(4)}.{kind}") for kind in ("plain", "zst"))
        try:
            if is_compressed(file):
                await self._decrypted(place, file, packed, identities)
                digest = await self._expanded(packed, hidden, file.plain)
            else:
                digest = await self._decrypted(place, file, hidden, identities)
            _same(file, file.plain, digest, "what was decrypted")
            hidden.replace(into)
        except OSError as error:
            cause = f"{into.parent} can't take what is restored: {error.strerror}"
            raise Temporary(SYSTEM, "scratch", cause, "Make room in the scratch folder") from None
        finally:
            for path in (hidden, packed):
                path.unlink(missing_ok=True)

    async def discard(self, place: str, keys: Iterable[str] | None = None) -> None:
        """Removes these files of a place (`StoredFile.key`), None: all of it. What is not there is fine."""
        if keys is None:
            await self._objects.clear(place)
        else:
            await self._objects.remove(f"{place}/{key}" for key in keys)

    async def files(self, place: str) -> tuple[str, ...]:
        """Keys of everything in a place, published or not, as in `StoredFile.key`."""
        return tuple(key.removeprefix(f"{place}/") for key in await self._objects.keys(place))

    async def destination(self) -> Destination:
        """Never raises for what is wrong there: `problem` says it."""
        encrypted, problem = True, ""
        try:
            parsed_recipients(self.recipients)
        except ForgeError as error:
            encrypted, problem = False, str(error)
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._probe()
            writable = True
        except ForgeError as error:
            writable, problem = False, problem or str(error)
        except TimeoutError:
            writable, problem = False, problem or f"the destination gave no answer within {_PROBE_TIMEOUT_S:g} s"
        return Destination(
            where=self._address.destination,
            writable=writable,
            encrypted=encrypted,
            in_transit=self._address.in_transit,
            free_bytes=await asyncio.to_thread(_free_bytes, self._objects.folder),
            problem=problem,
        )

    async def confirm(self, order: BackupOrder, made: Made) -> bool:
        """Reads every stored byte again; False where one differs or is missing, or nothing was stored."""
        place = backup_place(order.id)
        for file in made.files:
            try:
                if await self._stored_digest(place, file) != file.cipher:
                    return False
            except Permanent as error:
                if error.code not in ("backups.missing", "backups.tampered"):
                    raise
                return False
        return bool(made.files)

    async def publish(self, manifest: Manifest) -> None:
        """Raises Conflict where another manifest has this id; the same one is fine."""
        key = manifests.manifest_key(manifest)
        if await self._objects.create(key, manifests.signed(manifest, self._signer)):
            return
        if await self.manifest(manifest.id) != manifest:
            raise Conflict(SYSTEM, "published", f"another backup was published as {manifest.id} already")

    async def manifest(self, backup_id: str) -> Manifest | None:
        """Raises Permanent("backups.forged") for anything but a well signed one about this very backup."""
        content = await self._objects.read(f"{backup_place(backup_id)}/{manifests.NAME}", manifests.LARGEST + 1)
        return None if content is None else manifests.verified(content, backup_id, self._signer)

    async def remove(self, backup_id: str) -> None:
        place = backup_place(backup_id)
        await self._objects.remove((f"{place}/{manifests.NAME}",))  # from now on nobody takes the rest for a backup
        await self._objects.clear(place)

    async def remove_segments(self, segments: Sequence[WalSegment]) -> None:
        by_place: dict[str, list[str]] = {}
        for segment in segments:
            place = wal_place(segment.service, segment.environment, segment.system_identifier)
            by_place.setdefault(place, []).append(segment.file.key)
        for place, keys in by_place.items():
            await self.discard(place, keys)

    async def wal_files(self, service: str, environment: Environment) -> tuple[WalFile, ...]:
        """In order of server and name."""
        folder = wal_place(service, environment.value, "")
        found = []
        for path, size, stored_at in await self._objects.listed(folder.rstrip("/")):
            system, _, key = path.removeprefix(folder).partition("/")
            if key and "/" not in key:
                found.append(WalFile(system, key, size, stored_at))
        return tuple(found)

    async def remove_wal_files(self, service: str, environment: Environment, files: Sequence[WalFile]) -> None:
        await self._objects.remove(
            f"{wal_place(service, environment.value, file.system_identifier)}/{file.key}" for file in files
        )
        await self._objects.clear_unfinished(f"{service}/{environment.value}/wal", _UNFINISHED_S)

    async def published(self) -> tuple[str, ...]:
        """What lies under the name of a backup and has a manifest, whatever it says."""
        named: list[str] = []
        for service in await self._objects.folders():
            for environment in await self._objects.folders(service):
                for folder in await self._objects.folders(environment):
                    name = folder.rpartition("/")[2]
                    if manifests.is_backup_id(name) and backup_place(name) == folder:
                        named.append(name)
        found: list[str] = []
        for start in range(0, len(named), _ASKED_AT_ONCE):
            several = named[start : start + _ASKED_AT_ONCE]
            sizes = await asyncio.gather(*(self._objects.size(f"{backup_place(n)}/{manifests.NAME}") for n in several))
            found += [name for name, size in zip(several, sizes, strict=True) if size is not None]
        return tuple(found)

    async def complete(self, manifest: Manifest) -> bool:
        place = backup_place(manifest.id)
        for file in manifest.files:
            if await self._objects.size(checked_key(f"{place}/{file.key}")) != file.cipher.bytes:
                return False
        return True

    async def _decrypted(self, place: str, file: StoredFile, into: Path, identities: Sequence[Any]) -> Digest:
        """What came out. Never reads more than there should be."""
        size = await self._size(place, file)
        async with contextlib.aclosing(self._objects.pieces(f"{place}/{file.key}", size)) as pieces:
            return await unseal(
                pieces,
                into,
                identities,
                self._threads,
                lambda digest: _same(file, file.cipher, digest, "what is stored"),
            )

    async def _expanded(self, source: Path, target: Path, expected: Digest) -> Digest:
        """In a thread, which is over before a cancellation is."""
        stop = threading.Event()
        job = self._threads.submit(expand, source, target, expected, stop)
        work = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            job.cancel()
            await over(work)
            raise

    async def _stored_digest(self, place: str, file: StoredFile) -> Digest:
        tally = Tally()
        size = await self._size(place, file)
        async for piece in self._objects.pieces(f"{place}/{file.key}", size):
            await asyncio.get_running_loop().run_in_executor(self._threads, tally.add, piece)
        return tally.digest()

    async def _size(self, place: str, file: StoredFile) -> int:
        """Raises Permanent("backups.missing"), and Permanent("backups.tampered") where its size is another."""
        size = await self._objects.size(checked_key(f"{place}/{file.key}"))
        if size is None:
            remedy = "Restore another backup, and find out who removed it"
            raise Permanent(SYSTEM, "missing", f"{place}/{file.key} is not in the repository", remedy)
        _same(file, file.cipher.bytes, size, "the size of what is stored")
        return size

    async def _abandon(self, key: str, uploading: asyncio.Task[None]) -> None:
        """An upload is completed before it is removed: what is merely broken off stays in object storage, invisible and paid for."""
        try:
            async with asyncio.timeout(_ABANDON_TIMEOUT_S):
                await asyncio.wait({uploading})
                await self._objects.remove((key,))
        except (ForgeError, TimeoutError):
            pass  # the storage is gone; without a manifest nobody takes it for a backup, and a repeat clears the folder
        finally:
            await ended(uploading)

    async def _probe(self) -> None:
        """Removes first what probes of this installation left when forge died: `forge doctor` may do so to a probe of the bot's."""
        mine = f"{_PROBES}/{hashlib.sha256(self._signer.key.encode()).hexdigest()[:12]}-"
        async with self._probing:
            await self._objects.remove([key for key in await self._objects.keys(_PROBES) if key.startswith(mine)])
            for _ in range(_PROBE_TRIES):
                content = secrets.token_bytes(32)
                found = await self._written_and_read(f"{mine}{secrets.token_hex(8)}", content)
                if found == content:
                    return
                if found is not None:
                    break
        raise Permanent(SYSTEM, "storage", "the destination gave back other bytes than it was given")

    async def _written_and_read(self, key: str, content: bytes) -> bytes | None:
        await self._objects.create(key, content)
        try:
            return await self._objects.read(key, len(content))
        finally:
            await self._objects.remove((key,))


async def _told(sealing: Sealing, stored: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    async for piece in sealing.pieces():
        yield piece
        stored(sealing.plain.bytes, sealing.cipher.bytes)


def _same(file: StoredFile, wanted: object, found: object, what: str) -> None:
    if wanted != found:
        remedy = "Don't use it; restore another backup, and find out who can write to the repository"
        raise Permanent(SYSTEM, "tampered", f"{what} of {file.key} is not what the manifest says", remedy)


def _free_bytes(folder: Path | None) -> int | None:
    if folder is None:
        return None
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
