"""Decrypts what is stored on its way into a file, in one pass and bounded memory: both sides are hashed meanwhile.

Nobody may look into that file before both hashes were found right: that is the caller's promise.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, Self

import pyrage  # type: ignore[import-untyped]

from integrations.backups.address import SYSTEM
from integrations.backups.encryption import Aborted, Reader, Tally, Writer, drained, over
from runbook.backups import Digest
from runbook.errors import ForgeError, Permanent

_WAITING: Final = 1  # piece before the thread; each has some MB


async def unseal(
    pieces: AsyncIterator[bytes],
    target: Path,
    identities: Sequence[Any],
    executor: Executor,
    stored: Callable[[Digest], None],
) -> Digest:
    """Decrypts a stream into a file, which is made (0600), and returns what came out. After an error the caller removes it.

    stored: gets the digest of all the pieces, and raises what is wrong with them; that explains more than what age says of changed bytes.
    Raises Permanent("backups.key") where none of the identities fits, Permanent("backups.tampered"), OSError, and what `pieces` does.
    """
    with _Target(target) as file:
        work = _Unsealing(file, identities, executor)
        try:
            await work.feed(pieces)
        except BaseException:
            await work.abort()
            raise
        stored(work.cipher.digest())
        return work.result()


class _Target:
    """The file, and what the disk said."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.plain = Tally()
        self.failure: OSError | None = None

    def __enter__(self) -> Self:
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        self.plain.add(piece)
        left = memoryview(piece)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:  # pyrage would make its own of it
            self.failure = error
            raise


class _Unsealing:
    """One stream: it is hashed here, while a thread decrypts, hashes and writes the piece before."""

    def __init__(self, file: _Target, identities: Sequence[Any], executor: Executor) -> None:
        self._file = file
        self._identities = identities
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._aborted = False
        self._job = executor.submit(self._decrypt)
        self._work = asyncio.wrap_future(self._job)
        # A thread that failed takes nothing any more: whoever waits to put is let go, and looks.
        self._work.add_done_callback(lambda _: drained(self._incoming))
        self.cipher = Tally()

    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        """To their end, although they can't be decrypted: their hash is asked for then, too. Raises OSError of the target at once."""
        async for piece in pieces:
            hashing = self._loop.run_in_executor(self._executor, self.cipher.add, piece)
            try:
                if not self._work.done():
                    await self._incoming.put(piece)
            finally:
                await over(hashing)
            if self._file.failure is not None:
                raise self._file.failure
        if not self._work.done():
            await self._incoming.put(b"")
        await over(self._work)

    def result(self) -> Digest:
        """Raises what the thread did, which is over."""
        self._work.result()
        return self._file.plain.digest()

    async def abort(self) -> None:
        """Ends the thread."""
        self._aborted = True
        self._job.cancel()  # no thread had taken it up yet, maybe
        drained(self._incoming)
        self._incoming.put_nowait(b"")
        await over(self._work)

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _decrypt(self) -> None:
        writer = Writer(self._file.write)
        try:
            pyrage.decrypt_io(Reader(self._take), writer, self._identities)
            writer.finish()
        except (pyrage.DecryptError, OSError) as error:
            if self._file.failure is not None:
                raise self._file.failure from None
            if self._aborted:
                raise Aborted from None
            raise _undecryptable(str(error)) from None

    def _take(self) -> bytes:
        piece = asyncio.run_coroutine_threadsafe(self._incoming.get(), self._loop).result()
        if self._aborted:
            raise Aborted
        return piece


def _undecryptable(said: str) -> ForgeError:
    if "No matching keys" in said:
        cause = "the backup was encrypted for other keys than the one that is configured here"
        return Permanent(SYSTEM, "key", cause, "Configure the identity of one of its recipients")
    remedy = "Don't use it; restore another backup, and find out who can write to the repository"
    return Permanent(SYSTEM, "tampered", "what is stored can't be decrypted: it was changed", remedy)
